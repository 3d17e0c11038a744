"""Exports of a list as CSV or JSON: the same studies in the same order as on the page, streamed page by page."""

import io
import json
from collections.abc import Callable, Iterator

from pydantic import BaseModel
from sqlalchemy import select

from dashboard.studies.filters import Filters, parse_cursor, select_page
from dashboard.studies.rows import Row, classes, rows
from worker import NOTICE
from worker.database import reading
from worker.inputs.printable import SpreadsheetWriter
from worker.studies.records import Priority, Study, StudyState

#: A spreadsheet can handle this many; a longer list is cut off, and narrower filters give the rest.
MAX_STUDIES = 20_000
PAGE_SIZE = 500


class StudyAnswer(BaseModel):
    """One study: times in ISO 8601, probabilities in [0, 1]."""

    study: int
    accession_number: str | None
    study_instance_uid: str | None
    reference: str | None
    source: str
    priority: str
    received_at: str
    due_at: str
    read_at: str | None
    state: StudyState
    films: int
    rejection_reasons: str
    model_versions: str
    phantoms: bool
    top_finding: str | None
    probability: float | None
    probabilities: dict[str, float] | None


def as_csv(filters: Filters) -> Iterator[str]:
    """Yield the list as CSV, with a column for each finding."""
    with reading() as session:
        findings = classes(session)
    buffer = io.StringIO()
    writer = SpreadsheetWriter(buffer)
    columns = [name for name in StudyAnswer.model_fields if name != "probabilities"]
    writer.write_row(columns + findings)
    for study in _studies(filters):
        values, probabilities = study.model_dump(mode="json"), study.probabilities or {}
        writer.write_row([values[name] for name in columns] + [probabilities.get(finding, "") for finding in findings])
        yield _take_text(buffer)
    yield _take_text(buffer)


def as_json(filters: Filters) -> Iterator[str]:
    """Yield the list as one JSON document."""
    yield f'{{"notice": {json.dumps(NOTICE)}, "studies": [\n'
    for index, study in enumerate(_studies(filters)):
        yield (",\n" if index else "") + json.dumps(study.model_dump(mode="json"))
    yield "\n]}\n"


FORMATS: dict[str, Callable[[Filters], Iterator[str]]] = {"csv": as_csv, "json": as_json}


def _studies(filters: Filters) -> Iterator[StudyAnswer]:
    """Yield the studies; no transaction stays open while a slow client takes them."""
    place, count = None, 0
    while count < MAX_STUDIES:
        with reading() as session:
            page = select_page(session, filters, parse_cursor(place), PAGE_SIZE)
            identifiers = {
                study_id: (number, uid)
                for study_id, number, uid in session.execute(
                    select(Study.id, Study.accession_number, Study.study_instance_uid).where(Study.id.in_(page.ids))
                )
            }
            studies = [study_record(row, *identifiers[row.study_id]) for row in rows(session, page.ids)]
        yield from studies
        count, place = count + len(page.ids), page.following
        if place is None:
            return


def study_record(row: Row, accession_number: str | None, study_instance_uid: str | None) -> StudyAnswer:
    """Return a study as the API and the exports give it."""
    return StudyAnswer(
        study=row.study_id,
        accession_number=accession_number,
        study_instance_uid=study_instance_uid,
        reference=row.reference,
        source=row.source,
        priority=Priority(row.priority).name.lower(),
        received_at=row.received_at.isoformat(),
        due_at=row.due_at.isoformat(),
        read_at=row.read_at.isoformat() if row.read_at else None,
        state=row.state,
        films=row.film_count,
        rejection_reasons="; ".join(row.reasons),
        model_versions="; ".join(entry.version for entry in row.versions),
        phantoms=any(entry.phantoms for entry in row.versions),
        top_finding=row.findings[0][0] if row.findings else None,
        probability=row.findings[0][1] if row.findings else None,
        probabilities=dict(row.findings) or None,
    )


def _take_text(buffer: io.StringIO) -> str:
    """Return the text in the buffer and empty it."""
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
