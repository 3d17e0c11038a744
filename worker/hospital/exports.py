"""The outbox of results: what is owed to which destination, claimed under a lease, sent at least once, in order.

Every attempt sends the same object under the same UID, so an archive that gets it twice has it once.
"""

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session, aliased

from worker.database import clock, now
from worker.hospital.export_records import CODE_LENGTH, DestinationPause, Export
from worker.hospital.object_header import StoredObject, uid_of
from worker.hospital.records import ArrivalPart
from worker.hospital.verdicts import Answer, Verdict
from worker.settings import settings
from worker.studies.records import Study, StudyState
from worker.telemetry import metrics

logger = logging.getLogger(__name__)

#: For how long no other process tries a claimed export; longer than the longest attempt.
LEASE_SECONDS = 120
BACK_OFF_SECONDS, LONGEST_BACK_OFF_SECONDS = 30, 3600
#: How long a destination rests that is set up wrongly: four tries an hour.
REST_SECONDS = 900
#: The most exports of one destination that one association carries.
ROUND = 50
#: When an export is looked at again whose study is complete but whose picture is still being drawn.
NOT_READY_SECONDS = 3


@dataclass(frozen=True)
class Claim:
    """An export that this process may send now."""

    export_id: int
    part_id: int
    kind: str
    key: uuid.UUID
    series_uid: str
    #: What was sent before for the same study, and is replaced.
    predecessor: StoredObject | None
    owed_since: datetime


def owe(session: Session, part: ArrivalPart) -> int:
    """Add the exports of a part that was just closed, for each destination of its door; return how many.

    Args:
        session: in the transaction that closes the part.
        part: it has its id.
    """
    door = settings().doors.get(part.door)
    if door is None or part.submission_id is None:
        return 0
    owed = [(name, kind) for name in door.results for kind in settings().destinations[name].objects]
    for destination, kind in owed:
        _add(session, part, destination, kind, number=1)
    session.flush()
    return len(owed)


def _add(session: Session, part: ArrivalPart, destination: str, kind: str, number: int) -> None:
    earlier = session.scalar(
        select(Export)
        .join(Export.part)
        .where(
            ArrivalPart.source == part.source,
            ArrivalPart.study_instance_uid == part.study_instance_uid,
            Export.destination == destination,
            Export.kind == kind,
        )
        .order_by(Export.id.desc())
        .limit(1)
    )
    key = uuid.uuid4()
    series = earlier.series_uid if earlier else uid_of(key, "series")
    session.add(
        Export(
            part_id=part.id,
            destination=destination,
            kind=kind,
            number=number,
            key=str(key),
            series_uid=series,
            replaces_id=earlier.id if earlier else None,
        )
    )


def _is_due() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a due export: its study is finished, and what it replaces is no longer owed."""
    before = aliased(Export)
    earlier = exists().where(before.id == Export.replaces_id, before.next_at.is_not(None))
    unfinished = exists().where(
        ArrivalPart.id == Export.part_id,
        Study.submission_id == ArrivalPart.submission_id,
        Study.state == StudyState.WAITING,
    )
    return Export.next_at <= clock(), ~earlier, ~unfinished


def due(session: Session) -> dict[str, list[int]]:
    """Return the ids of due exports by destination, in order, without destinations that rest."""
    resting = exists().where(DestinationPause.destination == Export.destination, DestinationPause.until > clock())
    by_destination: dict[str, list[int]] = {}
    destinations = session.scalars(select(Export.destination).where(*_is_due(), ~resting).distinct()).all()
    for destination in sorted(destinations):
        query = select(Export.id).where(*_is_due(), Export.destination == destination).order_by(Export.id).limit(ROUND)
        by_destination[destination] = list(session.scalars(query))
    return by_destination


def claim(session: Session, export_id: int) -> Claim | None:
    """Lease an export and count the attempt; return None if it is claimed, ended or not due any more."""
    export = session.scalar(
        select(Export).where(Export.id == export_id, *_is_due()).with_for_update(skip_locked=True, of=Export)
    )
    if export is None:
        return None
    export.attempts += 1
    export.next_at = clock(timedelta(seconds=LEASE_SECONDS))
    session.flush()
    return Claim(
        export.id, export.part_id, export.kind, uuid.UUID(export.key), export.series_uid,
        _sent_before(session, export), export.created_at,
    )  # fmt: skip


def _sent_before(session: Session, export: Export) -> StoredObject | None:
    """Return the newest object that was sent before, however many exports between were refused."""
    while export.replaces_id is not None:
        export = session.get_one(Export, export.replaces_id)
        if export.sent_at and export.sop_class_uid and export.sop_instance_uid:
            return StoredObject(export.sop_class_uid, export.sop_instance_uid, export.series_uid)
    return None


def not_ready(session: Session, export_id: int) -> None:
    """Return an export whose object cannot be made yet; the attempt does not count."""
    export = session.get_one(Export, export_id, with_for_update=True)
    export.attempts -= 1
    export.next_at = clock(timedelta(seconds=NOT_READY_SECONDS))


def record(session: Session, export_id: int, answer: Answer, sent: StoredObject | None = None) -> None:
    """Record the answer to an attempt.

    Args:
        session: in a transaction.
        export_id: of a claimed export.
        answer: the verdict on it.
        sent: the object; None if none was sent.
    """
    export = session.get_one(Export, export_id, with_for_update=True)
    if export.cancelled_at and answer.verdict != Verdict.SENT:
        return
    export.trouble = answer.code[:CODE_LENGTH] if answer.code else None
    metrics.count_export(export.destination, answer.verdict)
    if answer.verdict == Verdict.SENT and sent:
        export.sent_at, export.next_at, export.cancelled_at = now(), None, None
        export.sop_class_uid, export.sop_instance_uid = sent.sop_class_uid, sent.sop_instance_uid
        _resume(session, export.destination)
    elif answer.verdict == Verdict.REST:
        export.attempts -= 1
        export.next_at = clock()
    elif answer.verdict == Verdict.REFUSED or export.attempts >= answer.most_attempts:
        export.refused_at, export.next_at = now(), None
        logger.error(
            "export %d to %s is refused after %d attempts: %s",
            export.id, export.destination, export.attempts, answer.code,
        )  # fmt: skip
    else:
        export.next_at = clock(_back_off(export.attempts))
        logger.warning("export %d to %s is tried again: %s", export.id, export.destination, answer.code)
    if answer.concerns_destination:
        _pause(session, export.destination, answer)


def _back_off(failures: int) -> timedelta:
    return timedelta(seconds=min(LONGEST_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2 ** min(failures - 1, 10)))


def _pause(session: Session, destination: str, answer: Answer) -> None:
    """Let a destination rest: a quarter of an hour if it is set up wrongly, else for a time that doubles."""
    pause = session.get(DestinationPause, destination, with_for_update=True)
    if pause is None:
        pause = DestinationPause(destination=destination, failures=0)
        session.add(pause)
    pause.failures += 1
    pause.misconfigured, pause.trouble = answer.verdict == Verdict.REST, (answer.code or "")[:CODE_LENGTH]
    pause.until = clock(timedelta(seconds=REST_SECONDS) if pause.misconfigured else _back_off(pause.failures))
    if pause.misconfigured:
        logger.error("the destination %s rests, and somebody must look at its set-up: %s", destination, pause.trouble)


def _resume(session: Session, destination: str) -> None:
    pause = session.get(DestinationPause, destination)
    if pause is not None:
        session.delete(pause)


def pauses(session: Session) -> Sequence[DestinationPause]:
    """Return the destinations that failed last, by name."""
    return session.scalars(select(DestinationPause).order_by(DestinationPause.destination)).all()


def count_owed(session: Session) -> int:
    """Return how many exports are owed."""
    return session.scalar(select(func.count()).select_from(Export).where(Export.next_at.is_not(None))) or 0


def select_exports(
    session: Session, *, destination: str | None = None, part_id: int | None = None, state: str | None = None
) -> Iterable[Export]:
    """Return exports, oldest first; those of one destination, one part or one state."""
    query = select(Export).join(Export.part).order_by(Export.id)
    if destination:
        query = query.where(Export.destination == destination)
    if part_id:
        query = query.where(Export.part_id == part_id)
    states = {
        "owed": Export.next_at.is_not(None),
        "sent": Export.sent_at.is_not(None),
        "refused": Export.refused_at.is_not(None),
        "cancelled": Export.cancelled_at.is_not(None),
    }
    if state:
        query = query.where(states[state])
    return session.scalars(query)


def replay(session: Session, export: Export) -> None:
    """Have a refused or cancelled export tried again, with a new series of attempts; its destination no longer rests.

    Args:
        session: in a transaction.
        export: not sent; one that is owed is tried at once.
    """
    export.refused_at = export.cancelled_at = export.trouble = None
    export.attempts, export.next_at = 0, clock()
    _resume(session, export.destination)


def replace(session: Session, part: ArrivalPart) -> int:
    """Have the newest result of a part sent again, to replace what was sent; return how many exports are new."""
    newest: dict[tuple[str, str], Export] = {}
    for export in select_exports(session, part_id=part.id):
        newest[export.destination, export.kind] = export
    sent = [export for export in newest.values() if export.sent_at]
    for export in sent:
        _add(session, part, export.destination, export.kind, export.number + 1)
    session.flush()
    return len(sent)


def cancel(export: Export) -> None:
    """Stop trying an export that is owed. What is being sent at this moment may still arrive."""
    export.cancelled_at, export.next_at = now(), None
