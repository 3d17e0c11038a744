"""The result of a study, stored with it: for each finding the highest probability over its films.

For No-Findings it is the lowest, because one film that shows a finding is enough. Only `worker.studies.ledger` calls
`update` and `forget`, in the transaction that changes the films, so that lists of studies need not read films.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, func, select
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Session

from worker.studies import worklist_order
from worker.studies.records import NO_FINDINGS, UNFINISHED, Image, ImageState, Prediction, Study, StudyState, Submission


class Evidence(NamedTuple):
    """One film's probability of one finding."""

    study_id: int
    finding: str
    #: In [0, 1].
    probability: float
    image_id: int

    def weight(self) -> tuple[float, int]:
        """Return a key that is largest for the deciding film; between equal films the first one decides."""
        return (-self.probability if self.finding == NO_FINDINGS else self.probability, -self.image_id)


def update(session: Session, image_ids: Sequence[int]) -> None:
    """Update the results of the studies of these films, which were just finished or returned to waiting.

    The changes of the films must have been flushed. The studies stay locked until the transaction ends: when two
    workers finish the last two films of a study at once, the second one sees both.
    """
    findings_by_study = _lock_studies(session, image_ids)
    if not findings_by_study:
        return
    stored = [
        Evidence(study_id, finding, deciding["probability"], deciding["image_id"])
        for study_id, findings in findings_by_study.items()
        for finding, deciding in findings.items()
    ]
    _summarise(session, list(findings_by_study), decide([*stored, *_evidence_of(session, image_ids)]))


def forget(session: Session, image_ids: Sequence[int]) -> None:
    """Clear the stored findings of these films' studies, before all their films are scored again."""
    studies = list(_lock_studies(session, image_ids))
    session.execute(update_rows(Study).where(Study.id.in_(studies)).values(findings={}))


def decide(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Return the deciding film's evidence for each finding of each study."""
    best: dict[tuple[int, str], Evidence] = {}
    for piece in evidence:
        key = piece.study_id, piece.finding
        if key not in best or piece.weight() > best[key].weight():
            best[key] = piece
    return list(best.values())


def _lock_studies(session: Session, image_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Lock the films' studies in the order of their ids, to avoid deadlocks; return their ids and stored findings."""
    wanted = select(Image.study_id).where(Image.id.in_(image_ids))
    query = select(Study.id, Study.findings).where(Study.id.in_(wanted)).order_by(Study.id)
    return dict(session.execute(query.with_for_update(key_share=True)).all())


def _evidence_of(session: Session, image_ids: Sequence[int]) -> list[Evidence]:
    predictions = session.execute(
        select(Image.study_id, Image.id, Prediction.probabilities)
        .join(Prediction, Prediction.id == Image.prediction_id)
        .where(Image.id.in_(image_ids))
    )
    return [
        Evidence(study_id, finding, probability, image_id)
        for study_id, image_id, probabilities in predictions
        for finding, probability in probabilities.items()
    ]


def _summarise(session: Session, study_ids: Sequence[int], decided: Sequence[Evidence]) -> None:
    """Write each study's state, findings, label (the most probable finding, or the first by name) and due time."""
    by_study: dict[int, dict[str, Evidence]] = defaultdict(dict)
    for evidence in sorted(decided, key=lambda evidence: (-evidence.probability, evidence.finding)):
        by_study[evidence.study_id][evidence.finding] = evidence
    studies = session.execute(
        select(
            Study.id,
            Study.received_at,
            func.min(Image.priority),
            func.max(Prediction.model_version_id),
            func.max(case((Image.state.in_(UNFINISHED) | Submission.open.is_(True), 1), else_=0)),
            func.max(case((Image.state == ImageState.SCORED, 1), else_=0)),
            func.max(Image.finished_at),
        )
        .join(Study.images)
        .join(Study.submission)
        .outerjoin(Image.prediction)
        .where(Study.id.in_(study_ids))
        .group_by(Study.id)
    )
    rows = [
        {
            "study_id": study_id,
            "state": StudyState.WAITING if waits else StudyState.SCORED if scored else StudyState.REJECTED,
            "label": next(iter(by_study[study_id]), None),
            "probability": next((top.probability for top in by_study[study_id].values()), None),
            "findings": {
                finding: {"probability": deciding.probability, "image_id": deciding.image_id}
                for finding, deciding in by_study[study_id].items()
            },
            "finished_at": None if waits else finished_at,
            "due_at": worklist_order.due_at(
                received_at,
                priority,
                {finding: deciding.probability for finding, deciding in by_study[study_id].items()},
            ),
            "model_version_id": version_id,
        }
        for study_id, received_at, priority, version_id, waits, scored, finished_at in studies
    ]
    session.connection().execute(update_rows(Study).where(Study.id == bindparam("study_id")), rows)
