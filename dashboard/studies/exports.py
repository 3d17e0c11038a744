"""A list as a file: the same studies in the same order as on the page, streamed page by page."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.studies import filters as selection
from dashboard.studies.filters import Filters
from dashboard.studies.rows import Row, classes, rows
from worker.database import reading
from worker.studies.records import Priority, Study, StudyState

#: A spreadsheet's worth; narrower filters give the rest.
MAX_STUDIES = 20_000
PAGE_SIZE = 500
NOTICE = "Research use. Not a medical device."
#: Characters that make a spreadsheet take a text for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(filters: Filters) -> Iterator[str]:
    """Yield the list as CSV, with a column for each finding."""
    with reading() as session:
        findings = classes(session)
        writer_to = io.StringIO()
        writer = csv.writer(writer_to)
        heads = [name for name in described(_nothing(), None, None) if name not in {"probabilities", "notice"}]
        writer.writerow(heads + findings)
        for record in _records(session, filters):
            said = record.pop("probabilities") or {}
            writer.writerow([_cell(record[name]) for name in heads] + [said.get(finding, "") for finding in findings])
            yield _taken(writer_to)
        yield _taken(writer_to)


def as_json(filters: Filters) -> Iterator[str]:
    """Yield the list as one JSON document."""
    with reading() as session:
        yield f'{{"notice": {json.dumps(NOTICE)}, "studies": [\n'
        for index, record in enumerate(_records(session, filters)):
            yield (",\n" if index else "") + json.dumps(record)
        yield "\n]}\n"


FORMATS: dict[str, Callable[[Filters], Iterator[str]]] = {"csv": as_csv, "json": as_json}


def _records(session: Session, filters: Filters) -> Iterator[dict[str, Any]]:
    place, count = None, 0
    while count < MAX_STUDIES:
        page = selection.page(session, filters, selection.cursor(place), PAGE_SIZE)
        identified = {
            study_id: (number, uid)
            for study_id, number, uid in session.execute(
                select(Study.id, Study.accession_number, Study.study_instance_uid).where(Study.id.in_(page.ids))
            )
        }
        for row in rows(session, page.ids):
            yield described(row, *identified[row.study_id])
        count, place = count + len(page.ids), page.following
        if place is None:
            return


def described(row: Row, accession_number: str | None, study_instance_uid: str | None) -> dict[str, Any]:
    """Return a study as systems and spreadsheets read it."""
    return {
        "study": row.study_id,
        "accession_number": accession_number,
        "study_instance_uid": study_instance_uid,
        "reference": row.reference,
        "source": row.source,
        "priority": Priority(row.priority).name.lower(),
        "received_at": row.received_at.isoformat(),
        "due_at": row.due_at.isoformat(),
        "read_at": row.read_at.isoformat() if row.read_at else None,
        "state": str(row.state),
        "films": row.film_count,
        "rejection_reasons": "; ".join(row.reasons),
        "model_versions": "; ".join(entry.version for entry in row.versions),
        "phantoms": any(entry.phantoms for entry in row.versions),
        "top_finding": row.findings[0][0] if row.findings else None,
        "probability": row.findings[0][1] if row.findings else None,
        "probabilities": dict(row.findings) or None,
    }


def _nothing() -> Row:
    """Return a row whose columns give the heads."""
    moment = selection.EPOCH
    return Row(0, moment, Priority.ROUTINE, StudyState.WAITING, {}, [], [], [], None, "", moment, None)


def _cell(value: object) -> object:
    """Return a value for a spreadsheet; a text that would be a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
