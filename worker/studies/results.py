"""A study's result, kept from its films' outcomes: per finding the maximum, for No-Findings the minimum.

One film that shows something is enough. Only `worker.studies.ledger` calls this, in the transaction that records
outcomes, so a list of a million studies reads columns instead of films.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, func, select
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Session

from worker.studies import worklist_order
from worker.studies.records import NO_FINDINGS, UNFINISHED, Image, ImageState, Prediction, Study, StudyState


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
    stored = _lock_studies(session, image_ids)
    if not stored:
        return
    known = [Evidence(study_id, *said) for study_id, findings in stored.items() for said in _said(findings)]
    _summarise(session, list(stored), decide([*known, *_said_by(session, image_ids)]))


def forget(session: Session, image_ids: Sequence[int]) -> None:
    """Let what was said of these films' studies no longer decide: all their films will say it anew."""
    studies = list(_lock_studies(session, image_ids))
    session.execute(update_rows(Study).where(Study.id.in_(studies)).values(findings={}))


def decide(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Return the deciding film's word on each finding of each study."""
    best: dict[tuple[int, str], Evidence] = {}
    for said in evidence:
        key = said.study_id, said.finding
        if key not in best or said.weight() > best[key].weight():
            best[key] = said
    return list(best.values())


def _lock_studies(session: Session, image_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Lock the films' studies, in one order for all who do, and return their ids and stored findings."""
    wanted = select(Image.study_id).where(Image.id.in_(image_ids))
    query = select(Study.id, Study.findings).where(Study.id.in_(wanted)).order_by(Study.id)
    return dict(session.execute(query.with_for_update(key_share=True)).all())


def _said(findings: Mapping[str, Any]) -> list[tuple[str, float, int]]:
    return [(finding, said["probability"], said["image_id"]) for finding, said in findings.items()]


def _said_by(session: Session, image_ids: Sequence[int]) -> list[Evidence]:
    said = session.execute(
        select(Image.study_id, Image.id, Prediction.probabilities)
        .join(Prediction, Prediction.id == Image.prediction_id)
        .where(Image.id.in_(image_ids))
    )
    return [
        Evidence(study_id, finding, probability, image_id)
        for study_id, image_id, probabilities in said
        for finding, probability in probabilities.items()
    ]


def _summarise(session: Session, study_ids: Sequence[int], decided: Sequence[Evidence]) -> None:
    """Write each study's state and findings, its top one (of equal ones the first by name), and when it is due."""
    said: dict[int, dict[str, Evidence]] = defaultdict(dict)
    for evidence in sorted(decided, key=lambda evidence: (-evidence.probability, evidence.finding)):
        said[evidence.study_id][evidence.finding] = evidence
    studies = session.execute(
        select(
            Study.id,
            Study.received_at,
            func.min(Image.priority),
            func.max(Prediction.model_version_id),
            func.max(case((Image.state.in_(UNFINISHED), 1), else_=0)),
            func.max(case((Image.state == ImageState.SCORED, 1), else_=0)),
            func.max(Image.finished_at),
        )
        .join(Study.images)
        .outerjoin(Image.prediction)
        .where(Study.id.in_(study_ids))
        .group_by(Study.id)
    )
    rows = [
        {
            "study_id": study_id,
            "state": StudyState.WAITING if waits else StudyState.SCORED if scored else StudyState.REJECTED,
            "label": next(iter(said[study_id]), None),
            "probability": next((top.probability for top in said[study_id].values()), None),
            "findings": {
                finding: {"probability": deciding.probability, "image_id": deciding.image_id}
                for finding, deciding in said[study_id].items()
            },
            "finished_at": None if waits else finished_at,
            "due_at": worklist_order.due_at(
                received_at, priority, {finding: deciding.probability for finding, deciding in said[study_id].items()}
            ),
            "model_version_id": version_id,
        }
        for study_id, received_at, priority, version_id, waits, scored, finished_at in studies
    ]
    session.connection().execute(update_rows(Study).where(Study.id == bindparam("study_id")), rows)
