"""One submission: its uploaded files, its progress and its results. Only reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from dashboard.studies.rows import rows
from worker import NOTICE
from worker.studies import outcomes
from worker.studies.records import Image, ImageState, Priority, Study, Submission


@dataclass(frozen=True)
class Progress:
    """A submission and the number of its films by state."""

    submission: Submission
    films: dict[str, int]

    @property
    def total(self) -> int:
        """Return how many films were accepted."""
        return sum(self.films.values())

    @property
    def finished(self) -> int:
        """Return how many films are scored or rejected."""
        return self.films[ImageState.SCORED] + self.films[ImageState.REJECTED]

    @property
    def state(self) -> str:
        """Return `waiting` while no film was claimed, then `running`, then `finished`."""
        if self.finished == self.total:
            return "finished"
        return "running" if self.films[ImageState.WAITING] < self.total else "waiting"


def progress(session: Session, submission_id: str) -> Progress | None:
    """Return the progress of a submission; None if there is no such submission."""
    submission = session.get(Submission, submission_id)
    if submission is None:
        return None
    counted = session.execute(
        select(Image.state, func.count())
        .join(Image.study)
        .where(Study.submission_id == submission_id)
        .group_by(Image.state)
    )
    return Progress(submission, {state.value: 0 for state in ImageState} | dict(counted.all()))


def refused(session: Session, source: str, request_id: str) -> dict[str, object] | None:
    """Return why every message with this source and request id was refused; None if there was no such message."""
    refusals = [refusal.model_dump(mode="json") for refusal in outcomes.refusals(session, source, request_id)]
    if not refusals:
        return None
    return {"state": "refused", "source": source, "request_id": request_id, "refusals": refusals}


def answer(session: Session, current: Progress) -> dict[str, object]:
    """Return a submission as the API gives it: counts, refused items, and every study with its films."""
    submission = current.submission
    ids = list(session.scalars(select(Study.id).where(Study.submission_id == submission.id).order_by(Study.id)))
    studies = rows(session, ids)
    deciding_images = {
        study_id: {finding: result["image_id"] for finding, result in findings.items()}
        for study_id, findings in session.execute(select(Study.id, Study.findings).where(Study.id.in_(ids)))
    }
    films: dict[int, list[dict[str, object]]] = {}
    for outcome in outcomes.outcomes(session, submission.id):
        films.setdefault(outcome.study_id, []).append(outcome.model_dump(mode="json"))
    return {
        "submission_id": submission.id,
        "source": submission.source,
        "request_id": submission.request_id,
        "priority": Priority(submission.priority).name.lower(),
        "received_at": submission.received_at.isoformat(),
        "state": current.state,
        "counts": current.films,
        "refused": submission.refused,
        # Messages with the same request id that were refused as a whole, such as a repetition with other content.
        "refusals": [
            refusal.model_dump(mode="json")
            for refusal in outcomes.refusals(session, submission.source, submission.request_id)
        ],
        "studies": [
            {
                "study_id": row.study_id,
                "state": row.state,
                "label": row.findings[0][0] if row.findings else None,
                "probabilities": dict(row.findings) or None,
                "decided_by": deciding_images.get(row.study_id) or None,
                "images": films.get(row.study_id, []),
            }
            for row in studies
        ],
        "notice": NOTICE,
    }


def uploaded_files(storages: Iterable[FileStorage]) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the name and the open file of each uploaded file."""
    for storage in storages:
        yield storage.filename or "", cast("BinaryIO", storage.stream)
