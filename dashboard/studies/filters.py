"""Which studies a list shows, and in which order: filters, keyset pages and cursors. Only reads.

Unread studies come in order of urgency, earliest due first; all studies come newest first. Each filter has an index
for both orders, so that a page takes the same time however long the table is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import Session

from dashboard.row_ids import parse_row_id
from worker.database import MAX_ROW_ID
from worker.models.records import ModelVersion
from worker.settings import settings
from worker.studies.records import Study, StudyState

PAGE_SIZE = 50
#: Ids rise with the time of receipt, except where senders commit at the same moment: the studies of a day have ids at
#: most this far outside the ids of its first and last study.
ID_SLACK = 2000
MAX_SOURCES = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class View(StrEnum):
    """Which list."""

    OPEN = "open"  #: Unread studies, earliest due first.
    ALL = "all"  #: All studies, newest first.


@dataclass(frozen=True)
class Filters:
    """Conditions that a study must meet to be listed; None: any."""

    view: View = View.ALL
    #: The most probable finding.
    finding: str | None = None
    state: StudyState | None = None
    #: The name of a model version.
    version: str | None = None
    source: str | None = None
    #: First and last day of receipt (UTC).
    since: date | None = None
    until: date | None = None
    submission_id: str | None = None
    accession: str | None = None


@dataclass(frozen=True)
class Cursor:
    """A place in a list: just after one of its studies, or just before it (`backwards`)."""

    study_id: int
    #: When that study is due; only in the worklist.
    due_at: datetime | None = None
    backwards: bool = False

    def text(self) -> str:
        """Return the cursor for a URL: a row id and microseconds, never an identifier of a patient or a sender."""
        return f"{self.study_id}" if self.due_at is None else f"{self.study_id}.{_micros(self.due_at)}"


@dataclass(frozen=True)
class Page:
    """The studies of one page, and the cursors of its neighbours (None: there is no such page)."""

    ids: Sequence[int]
    previous: str | None
    following: str | None


def parse_cursor(text: str | None, *, backwards: bool = False) -> Cursor | None:
    """Return the cursor in a query parameter; None if it is missing or malformed."""
    study_id, _, due = (text or "").partition(".")
    number = parse_row_id(study_id)
    if number is None:
        return None
    if due.isascii() and due.isdecimal() and len(due) <= len(str(_micros(datetime.max.replace(tzinfo=UTC)))):
        try:
            return Cursor(number, EPOCH + timedelta(microseconds=int(due)), backwards)
        except OverflowError:
            return None
    return Cursor(number, None, backwards)


def select_page(session: Session, filters: Filters, place: Cursor | None = None, size: int = PAGE_SIZE) -> Page:
    """Return one page of a list: `size` studies from `place` on, or the first ones."""
    backwards = place is not None and place.backwards
    query = _ordered(_filtered(session, filters), filters.view, place, backwards=backwards).limit(size + 1)
    entries = [
        Cursor(study_id, due_at if filters.view == View.OPEN else None) for study_id, due_at in session.execute(query)
    ]
    more, shown = len(entries) > size, entries[:size]
    if backwards:
        shown.reverse()
    before, after = (more, bool(shown)) if backwards else (place is not None, more)
    return Page(
        [entry.study_id for entry in shown],
        previous=shown[0].text() if shown and before else None,
        following=shown[-1].text() if shown and after else None,
    )


def _filtered(session: Session, filters: Filters) -> Select[int, datetime]:
    """Return the query for the studies that meet the filters, unordered."""
    query = select(Study.id, Study.due_at)
    equal: list[tuple[object, object]] = [
        (Study.submission_id, filters.submission_id),
        (Study.state, filters.state),
        (Study.label, filters.finding),
        (Study.source, filters.source),
        (Study.accession_number, filters.accession),
    ]
    query = query.where(*(column == value for column, value in equal if value is not None))  # type: ignore[arg-type]
    if filters.version is not None:
        version_id = session.scalar(select(ModelVersion.id).where(ModelVersion.version == filters.version))
        query = query.where(Study.model_version_id == (version_id or 0))
    if filters.view == View.OPEN:
        query = query.where(Study.read_at.is_(None))
    return query.where(*_days(session, filters))


def sources(session: Session) -> list[str]:
    """Return the sources in alphabetical order. Each takes one look-up in an index, however many studies it sent."""
    names: list[str] = []
    while len(names) < MAX_SOURCES:
        query = select(Study.source).order_by(Study.source).limit(1)
        following = session.scalar(query.where(Study.source > names[-1]) if names else query)
        if following is None:
            break
        names.append(following)
    return [name for name in names if name]


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _ordered(
    query: Select[int, datetime], view: View, place: Cursor | None, *, backwards: bool
) -> Select[int, datetime]:
    """Return the query in the order of the list, from `place` on; `backwards` reverses the order."""
    if view == View.OPEN:
        key, descending = tuple_(Study.due_at, Study.id), False
        values = (place.due_at, place.study_id) if place and place.due_at else None
        columns: list[ColumnElement[object]] = [Study.due_at, Study.id]  # type: ignore[list-item]
    else:
        key, descending = tuple_(Study.id), True
        values = (place.study_id,) if place else None  # type: ignore[assignment]
        columns = [Study.id]  # type: ignore[list-item]
    if descending != backwards:
        columns = [column.desc() for column in columns]
    if values is not None:
        query = query.where(key < values if descending != backwards else key > values)
    return query.order_by(*columns)


def _days(session: Session, filters: Filters) -> list[ColumnElement[bool]]:
    """Return the conditions for the days of receipt, each with a bound on the column that orders the list."""
    conditions: list[ColumnElement[bool]] = []
    by_due = filters.view == View.OPEN
    if filters.since:
        start = datetime.combine(filters.since, time(), UTC)
        bound = Study.due_at >= start if by_due else Study.id >= _first_id(session, start) - ID_SLACK
        conditions += [Study.received_at >= start, bound]
    if filters.until:
        end = datetime.combine(filters.until, time(), UTC) + timedelta(days=1)
        last_due = end + timedelta(hours=settings().longest_wait_hours)
        bound = Study.due_at <= last_due if by_due else Study.id <= _first_id(session, end) + ID_SLACK
        conditions += [Study.received_at < end, bound]
    return conditions


def _first_id(session: Session, moment: datetime) -> int:
    """Return the id of the first study received at or after `moment`."""
    first = session.scalar(select(Study.id).where(Study.received_at >= moment).order_by(Study.received_at).limit(1))
    return MAX_ROW_ID - ID_SLACK if first is None else first
