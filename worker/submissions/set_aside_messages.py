"""Stores messages that no process could run, refuses them under their sender's key, and lists them."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from worker.broker.set_aside import DETAILS, Flaw, Place, SetAside
from worker.celery_app import DEFAULT_QUEUE, INTAKE_QUEUE
from worker.database import through_outages, transaction
from worker.studies.records import Refusal
from worker.submissions.records import SetAsideMessage
from worker.telemetry import metrics

#: The newest messages that are kept; each has at most 16 KiB, so the table has at most 16 MiB.
KEPT = 1000
#: The code under which a sender finds its message.
MALFORMED = "malformed"
#: Flaws whose own name is the code.
OWN_CODES = frozenset({Flaw.UNKNOWN_TASK, Flaw.EXPIRED, Flaw.FAULT})
#: Where senders put messages; a wake-up in another queue has no sender who could ask.
FROM_SENDERS = frozenset({INTAKE_QUEUE, DEFAULT_QUEUE, Place.INTAKE})


class Listed(BaseModel):
    """A message that was set aside, without its bytes."""

    id: int
    place: str
    flaw: str
    sha256: str
    size: int
    source: str | None
    request_id: str | None
    set_aside_at: datetime


@through_outages
def store(message: SetAside) -> None:
    """Store a message that was set aside, once, and refuse it under its key; forget all but the newest."""
    with transaction() as session:
        if session.scalar(select(SetAsideMessage.id).where(SetAsideMessage.record_id == message.record_id)):
            return
        source = message.source[:64] if message.source else None
        row = SetAsideMessage(
            record_id=message.record_id,
            place=message.place,
            flaw=message.flaw,
            sha256=message.sha256,
            size=message.size,
            head=message.head_bytes(),
            source=source,
            request_id=message.request_id,
        )
        session.add(row)
        session.flush()
        session.execute(delete(SetAsideMessage).where(SetAsideMessage.id <= row.id - KEPT))
        if message.place in FROM_SENDERS or source or message.request_id:
            code = message.flaw if message.flaw in OWN_CODES else MALFORMED
            session.add(Refusal(source=source, request_id=message.request_id, code=code, detail=DETAILS[message.flaw]))
    metrics.count_set_aside(message.place, message.flaw)


def listed(session: Session, limit: int) -> list[Listed]:
    """Return the newest messages that were set aside, newest first."""
    columns = [getattr(SetAsideMessage, name) for name in Listed.model_fields]
    rows = session.execute(select(*columns).order_by(SetAsideMessage.id.desc()).limit(limit))
    return [Listed.model_validate(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name


def head(session: Session, message_id: int) -> bytes | None:
    """Return the first bytes of a message that was set aside; None if it is not kept."""
    return session.scalar(select(SetAsideMessage.head).where(SetAsideMessage.id == message_id))


def counts(session: Session) -> dict[tuple[str, str], int]:
    """Return how many messages are kept, by (place, flaw)."""
    rows = session.execute(
        select(SetAsideMessage.place, SetAsideMessage.flaw, func.count()).group_by(
            SetAsideMessage.place, SetAsideMessage.flaw
        )
    )
    return {(place, flaw): count for place, flaw, count in rows}
