"""Promotes a version to the active one, or rolls back, and stores what the gate said of it.

A person may force a promotion; the activation records that.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.errors import ModelUnavailable, ScoringError
from worker.models import registry
from worker.models.documents.verdict import Verdict
from worker.models.records import Activation, GateVerdict, ModelVersion, RetrainingRun


class NotPassed(ScoringError):
    """The gate has not passed a version.

    Attributes:
        reasons: sentences for a person.
    """

    def __init__(self, version: str, reasons: list[str]) -> None:
        """Keep the reasons, and join them in the message."""
        super().__init__(f"{version} has not passed the gate: {'; '.join(reasons)}")
        self.reasons = reasons


def record(session: Session, candidate_id: int, active_id: int | None, verdict: Verdict) -> GateVerdict:
    """Store a verdict on a candidate beside the version that was active then; a repeated call stores it once."""
    last = latest(session)
    if last and (last.candidate_id, last.active_id, last.verdict) == (candidate_id, active_id, verdict):
        return last
    row = GateVerdict(candidate_id=candidate_id, active_id=active_id, passed=verdict.passed, verdict=verdict)
    session.add(row)
    session.flush()
    return row


def latest(session: Session, candidate_id: int | None = None) -> GateVerdict | None:
    """Return the newest verdict on a version, or on any version; None if there is none."""
    query = select(GateVerdict).order_by(GateVerdict.id.desc()).limit(1)
    return session.scalar(query if candidate_id is None else query.where(GateVerdict.candidate_id == candidate_id))


def reasons_against(session: Session, row: ModelVersion) -> list[str]:
    """Return why the gate would reject a promotion now; empty if it would not."""
    verdict = latest(session, row.id)
    if verdict is None:
        return ["it was never judged"]
    if not verdict.passed:
        return list(verdict.verdict.reasons)
    if verdict.active_id != registry.active_id(session):
        return ["it was judged beside a version that is not active any more"]
    return []


def promote(session: Session, version: str, by: str, *, force: bool = False) -> tuple[ModelVersion, list[str]]:
    """Make a version the active one; return it and the gate's reasons against it.

    The reasons prevent the promotion only if a retraining run made the version or the gate has judged it. A version
    that came with Thoraq, or that a person trained and imported, is the choice of whoever promotes it. Promoting the
    active version changes nothing.

    Raises:
        ModelUnavailable: no such version is registered.
        NotPassed: the gate has reasons against it, and `force` is not set.
    """
    row = registry.find(session, version)
    if row is None:
        message = f"no model version {version} is registered"
        raise ModelUnavailable(message)
    if row.id == registry.active_id(session):
        return row, []
    verdict, reasons = latest(session, row.id), reasons_against(session, row)
    needs_gate = verdict is not None or session.scalar(
        select(RetrainingRun.id).where(RetrainingRun.candidate_id == row.id).limit(1)
    )
    if reasons and needs_gate and not force:
        raise NotPassed(version, reasons)
    registry.activate(session, version, by, forced=bool(reasons) and force, verdict_id=verdict.id if verdict else None)
    return row, reasons


def rollback(session: Session, by: str) -> ModelVersion:
    """Return to the version that the active one replaced, and make it active.

    Raises:
        ModelUnavailable: the active version replaced none.
    """
    target = _returns_to(session)
    if target is None:
        message = "there is no earlier version to return to"
        raise ModelUnavailable(message)
    session.add(
        Activation(model_version_id=target.model_version_id, returns_to_id=target.returns_to_id, activated_by=by)
    )
    session.flush()
    return target.model_version


def rollback_target(session: Session) -> ModelVersion | None:
    """Return the version that a rollback would make active."""
    target = _returns_to(session)
    return target.model_version if target else None


def _returns_to(session: Session) -> Activation | None:
    current = registry.current_activation(session)
    return session.get(Activation, current.returns_to_id) if current and current.returns_to_id else None
