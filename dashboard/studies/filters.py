"""Which studies a list shows, and in which order: filters, keyset pages, cursors that name no one. Only reads.

What nobody has read comes in urgency order, earliest due first; everything comes newest first. Each single filter has
an index in each order, so a page costs the same however long the table is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import Session

from dashboard.row_ids import MAX_ROW_ID, row_id
from worker.models.records import ModelVersion
from worker.settings import settings
from worker.studies.records import Study, StudyState

PAGE_SIZE = 50
#: Ids rise with time but for senders that commit at once: a day's studies lie within this many ids of its ends.
ID_SLACK = 2000
MAX_SOURCES = 100


class View(StrEnum):
    """Which list."""

    OPEN = "open"  #: What nobody has read, earliest due first.
    ALL = "all"  #: Everything, newest first.


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to."""

    view: View = View.ALL
    #: The top finding.
    finding: str | None = None
    state: StudyState | None = None
    #: A model version's name.
    version: str | None = None
    source: str | None = None
    #: First and last day of receipt, UTC.
    since: date | None = None
    until: date | None = None
    submission_id: str | None = None
    accession: str | None = None


@dataclass(frozen=True)
class Cursor:
    """A place in a list: just after, or just before, one of its studies."""

    study_id: int
    #: In the worklist: when that study is due.
    due_at: datetime | None = None
    backwards: bool = False

    def text(self) -> str:
        """Return it for a URL: row id and microseconds of ours, no identifier of anybody else's."""
        return f"{self.study_id}" if self.due_at is None else f"{self.study_id}.{_micros(self.due_at)}"


@dataclass(frozen=True)
class Page:
    """A slice of a list, and the places at which its neighbours begin; None where there is none."""

    ids: Sequence[int]
    previous: str | None
    following: str | None


def cursor(text: str | None, *, backwards: bool = False) -> Cursor | None:
    """Return the place that a query string names; None for anything that is none."""
    study_id, _, due = (text or "").partition(".")
    number = row_id(study_id)
    if number is None:
        return None
    if due.isascii() and due.isdecimal() and len(due) <= len(str(_micros(datetime.max.replace(tzinfo=UTC)))):
        try:
            return Cursor(number, EPOCH + timedelta(microseconds=int(due)), backwards)
        except OverflowError:
            return None
    return Cursor(number, None, backwards)


def page(session: Session, filters: Filters, place: Cursor | None = None, size: int = PAGE_SIZE) -> Page:
    """Return one page of a list."""
    backwards = place is not None and place.backwards
    query = _ordered(narrowed(session, filters), filters.view, place, backwards=backwards).limit(size + 1)
    found = [
        Cursor(study_id, due_at if filters.view == View.OPEN else None) for study_id, due_at in session.execute(query)
    ]
    more, shown = len(found) > size, found[:size]
    if backwards:
        shown.reverse()
    before, after = (more, bool(shown)) if backwards else (place is not None, more)
    return Page(
        [entry.study_id for entry in shown],
        previous=shown[0].text() if shown and before else None,
        following=shown[-1].text() if shown and after else None,
    )


def narrowed(session: Session, filters: Filters) -> Select[int, datetime]:
    """Return the query of a list's studies, in no order."""
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
    """Return the senders by name: one step in the index for each, however many studies each sent."""
    found: list[str] = []
    while len(found) < MAX_SOURCES:
        query = select(Study.source).order_by(Study.source).limit(1)
        following = session.scalar(query.where(Study.source > found[-1]) if found else query)
        if following is None:
            break
        found.append(following)
    return [name for name in found if name]


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _ordered(
    query: Select[int, datetime], view: View, place: Cursor | None, *, backwards: bool
) -> Select[int, datetime]:
    """Return the query in the list's order, from its place on; read against the order when backwards."""
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
    """Return the conditions of the days, each with a bound on the column that the list is ordered by."""
    found: list[ColumnElement[bool]] = []
    by_due = filters.view == View.OPEN
    if filters.since:
        start = datetime.combine(filters.since, time(), UTC)
        bound = Study.due_at >= start if by_due else Study.id >= _first_id(session, start) - ID_SLACK
        found += [Study.received_at >= start, bound]
    if filters.until:
        end = datetime.combine(filters.until, time(), UTC) + timedelta(days=1)
        last_due = end + timedelta(hours=settings().longest_wait_hours)
        bound = Study.due_at <= last_due if by_due else Study.id <= _first_id(session, end) + ID_SLACK
        found += [Study.received_at < end, bound]
    return found


def _first_id(session: Session, moment: datetime) -> int:
    """Return the id of the first study received from a moment on."""
    first = session.scalar(select(Study.id).where(Study.received_at >= moment).order_by(Study.received_at).limit(1))
    return MAX_ROW_ID - ID_SLACK if first is None else first
