"""A study's result, kept from its films' outcomes: per finding the maximum, for No-Findings the minimum.

One film that shows something is enough. Only `worker.ledger` asks for this, in the transaction that records outcomes,
so a list of a million studies reads columns instead of films.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy import update as update_rows
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker import urgency
from worker.records import FindingProbability, Image, ImageState, Prediction, Study, StudyFinding, StudyState

#: The one class that says that nothing was found.
NO_FINDINGS = "No-Findings"


class Evidence(NamedTuple):
    """What one film says of one finding."""

    study_id: int
    finding: str
    #: In [0, 1].
    probability: float
    image_id: int

    def weight(self) -> tuple[float, int]:
        """Return what the deciding film has most of; of equal films the first decides."""
        return (-self.probability if self.finding == NO_FINDINGS else self.probability, -self.image_id)


def update(session: Session, image_ids: Sequence[int]) -> None:
    """Bring the results of the studies of these films, which were just finished or put back, up to date.

    The films' own changes must have been flushed. Their studies stay locked until the transaction ends, so that of
    two workers which finish a study's last films at once the second one sees both.
    """
    study_ids = _lock_studies(session, image_ids)
    if not study_ids:
        return
    stored = _stored(session, study_ids)
    decided = decide([*stored, *_said_by(session, image_ids)])
    known = set(stored)
    _store(session, [evidence for evidence in decided if evidence not in known])
    _summarise(session, study_ids, decided)


def decide(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Return the deciding film's word on each finding of each study."""
    best: dict[tuple[int, str], Evidence] = {}
    for said in evidence:
        key = said.study_id, said.finding
        if key not in best or said.weight() > best[key].weight():
            best[key] = said
    return list(best.values())


def _lock_studies(session: Session, image_ids: Sequence[int]) -> list[int]:
    """Lock the films' studies, in one order for all who do, and return their ids."""
    wanted = select(Image.study_id).where(Image.id.in_(image_ids))
    query = select(Study.id).where(Study.id.in_(wanted)).order_by(Study.id).with_for_update(key_share=True)
    return list(session.scalars(query))


def _stored(session: Session, study_ids: Sequence[int]) -> list[Evidence]:
    columns = StudyFinding.study_id, StudyFinding.finding, StudyFinding.probability, StudyFinding.image_id
    found = session.execute(select(*columns).where(StudyFinding.study_id.in_(study_ids)))
    return [Evidence(*row) for row in found]


def _said_by(session: Session, image_ids: Sequence[int]) -> list[Evidence]:
    found = session.execute(
        select(Image.study_id, FindingProbability.finding, FindingProbability.probability, Image.id)
        .join(FindingProbability, FindingProbability.prediction_id == Image.prediction_id)
        .where(Image.id.in_(image_ids))
    )
    return [Evidence(*row) for row in found]


def _store(session: Session, changed: Sequence[Evidence]) -> None:
    if not changed:
        return
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(StudyFinding)
    upsert = insert.on_conflict_do_update(
        index_elements=["study_id", "finding"],
        set_={"probability": insert.excluded.probability, "image_id": insert.excluded.image_id},
    )
    session.execute(upsert, [evidence._asdict() for evidence in changed])


def _summarise(session: Session, study_ids: Sequence[int], decided: Sequence[Evidence]) -> None:
    """Write each study's state, its top finding (of equal ones the first by name), and when it is due to be read."""
    tops: dict[int, Evidence] = {}
    for evidence in sorted(decided, key=lambda said: (-said.probability, said.finding)):
        tops.setdefault(evidence.study_id, evidence)
    said = urgency.by_study((evidence.study_id, evidence.finding, evidence.probability) for evidence in decided)
    unfinished = Image.state.in_([ImageState.WAITING, ImageState.SCORING])
    studies = session.execute(
        select(
            Study.id,
            Study.received_at,
            func.min(Image.priority),
            func.max(Prediction.model_version_id),
            func.max(case((unfinished, 1), else_=0)),
            func.max(case((Image.state == ImageState.SCORED, 1), else_=0)),
            func.max(Image.finished_at),
        )
        .join(Study.images)
        .outerjoin(Image.prediction)
        .where(Study.id.in_(study_ids))
        .group_by(Study.id)
    )
    session.execute(
        update_rows(Study),
        [
            {
                "id": study_id,
                "state": StudyState.WAITING if waits else StudyState.SCORED if scored else StudyState.REJECTED,
                "label": tops[study_id].finding if study_id in tops else None,
                "probability": tops[study_id].probability if study_id in tops else None,
                "finished_at": None if waits else finished_at,
                "due_at": urgency.due_at(received_at, priority, said.get(study_id, {})),
                "model_version_id": version_id,
            }
            for study_id, received_at, priority, version_id, waits, scored, finished_at in studies
        ],
    )
