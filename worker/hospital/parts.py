"""Parts: which instances of a study belong together, and when no more are awaited.

DICOM has no "study finished". A film is scored when it arrives; the result of its part waits for silence, or for the
maximum. What comes later makes a further part with everything so far, whose results replace those of the one before.
"""

import hashlib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from worker.hospital import exports
from worker.hospital.records import Arrival, ArrivalPart, ClosedBy
from worker.hospital.spool import Arrived
from worker.settings import ARCHIVE
from worker.studies import ledger
from worker.studies.records import Image, Priority, Submission
from worker.submissions import intake
from worker.submissions.envelope import Accession, ImageReference, Item


def record(session: Session, arrived: Arrived, path: str | None, moment: datetime, maximum: timedelta) -> int:
    """Record an instance in the part of its study; return how many films wait for a worker because of it.

    An instance that is recorded already changes nothing.

    Args:
        session: in a transaction.
        arrived: the instance.
        path: of its film in the archive; None if it is set aside.
        moment: now.
        maximum: how long a part may be open.
    """
    part = _newest(session, arrived)
    known = _known(session, part, arrived)
    if known and (known.film_sha256, known.identity_mac) == (arrived.film_sha256, arrived.identity_mac):
        return 0
    waiting = 0
    if part is None:
        part = _open(session, arrived, 1, moment)
    elif path is None and part.closed_at:
        # An object that is no film changes no result. The PACS may send our own results back, too.
        _keep(session, part, arrived, None)
        return 0
    elif part.closed_at or (known and known.film_sha256 != arrived.film_sha256):
        if not part.closed_at:
            close(session, part, ClosedBy.REPLACED, moment)
        part, waiting = _further(session, part, arrived, moment)
    elif known:
        known.identity, known.identity_mac = arrived.identity, arrived.identity_mac
        return 0
    part.door, part.last_at = arrived.door, moment
    part.closes_at = min(moment + timedelta(seconds=arrived.silence_seconds), part.opened_at + maximum)
    image = None
    if path is not None:
        (image,) = _add(session, part, arrived, [_item(arrived, path)])
        waiting += 1
    _keep(session, part, arrived, image)
    return waiting


def any_due(session: Session, moment: datetime) -> bool:
    """Return whether an open part may have to be closed."""
    is_due = exists().where(ArrivalPart.closed_at.is_(None), ArrivalPart.closes_at <= moment)
    return bool(session.scalar(select(is_due)))


def due(
    session: Session,
    moment: datetime,
    *,
    doors: Iterable[str],
    carried: AbstractSet[tuple[str, str]],
    maximum: timedelta,
) -> list[tuple[ArrivalPart, ClosedBy]]:
    """Return the open parts that are to be closed, locked, with the reasons.

    Args:
        session: in a transaction.
        moment: up to when everything that arrived is recorded.
        doors: whose associations the caller knows; parts of others are closed only by the maximum.
        carried: source and study UID of the studies of which an open association brought something.
        maximum: how long a part may be open.
    """
    parts = session.scalars(
        select(ArrivalPart)
        .where(
            ArrivalPart.closed_at.is_(None),
            ArrivalPart.closes_at <= moment,
            or_(ArrivalPart.door.in_(list(doors)), ArrivalPart.opened_at <= moment - maximum),
        )
        .order_by(ArrivalPart.id)
        .with_for_update(skip_locked=True)
    )
    found = []
    for part in parts:
        if part.opened_at <= moment - maximum:
            found.append((part, ClosedBy.MAXIMUM))
        elif (part.source, part.study_instance_uid) not in carried:
            found.append((part, ClosedBy.SILENCE))
    return found


def close(session: Session, part: ArrivalPart, by: ClosedBy, moment: datetime) -> None:
    """Close a part: its study is finished when its films are, and its results are owed unless it is replaced."""
    part.closed_at, part.closed_by, part.incomplete = moment, by, by == ClosedBy.MAXIMUM
    if part.submission_id:
        submission = session.get_one(Submission, part.submission_id, with_for_update=True)
        ledger.close(session, submission)
        if by != ClosedBy.REPLACED:
            exports.owe(session, part)


def _newest(session: Session, arrived: Arrived) -> ArrivalPart | None:
    return session.scalar(
        select(ArrivalPart)
        .where(
            ArrivalPart.source == arrived.source,
            ArrivalPart.study_instance_uid == arrived.study_instance_uid,
        )
        .order_by(ArrivalPart.number.desc())
        .limit(1)
        .with_for_update()
    )


def _known(session: Session, part: ArrivalPart | None, arrived: Arrived) -> Arrival | None:
    if part is None:
        return None
    return session.scalar(
        select(Arrival).where(Arrival.part_id == part.id, Arrival.sop_instance_uid == arrived.sop_instance_uid)
    )


def _open(session: Session, arrived: Arrived, number: int, moment: datetime) -> ArrivalPart:
    part = ArrivalPart(
        source=arrived.source,
        study_instance_uid=arrived.study_instance_uid,
        number=number,
        door=arrived.door,
        opened_at=moment,
        last_at=moment,
        closes_at=moment,
    )
    session.add(part)
    session.flush()
    return part


def _further(session: Session, before: ArrivalPart, arrived: Arrived, moment: datetime) -> tuple[ArrivalPart, int]:
    """Open the next part of a study with all that the one before has, except what `arrived` replaces."""
    part = _open(session, arrived, before.number + 1, moment)
    kept = [arrival for arrival in before.arrivals if arrival.sop_instance_uid != arrived.sop_instance_uid]
    films = [arrival for arrival in kept if arrival.image is not None]
    images = _add(session, part, arrived, [_again(arrival.image) for arrival in films if arrival.image])
    new = {arrival.id: image.id for arrival, image in zip(films, images, strict=True)}
    for arrival in kept:
        session.add(
            Arrival(
                part_id=part.id,
                sop_instance_uid=arrival.sop_instance_uid,
                sop_class_uid=arrival.sop_class_uid,
                film_sha256=arrival.film_sha256,
                image_id=new.get(arrival.id),
                identity=arrival.identity,
                identity_mac=arrival.identity_mac,
                calling_ae=arrival.calling_ae,
                received_at=arrival.received_at,
            )
        )
    part.set_aside = len(kept) - len(films)
    session.flush()
    return part, len(images)


def _add(session: Session, part: ArrivalPart, arrived: Arrived, items: list[Item]) -> list[Image]:
    """Add films to the submission of a part."""
    if not items:
        return []
    study = hashlib.sha256(part.study_instance_uid.encode()).hexdigest()
    images = intake.arrive(
        session,
        items,
        source=arrived.source,
        rank=Priority[arrived.priority.upper()],
        request_id=f"{study}-{part.number}",
    )
    part.submission_id = images[0].study.submission_id
    return images


def _keep(session: Session, part: ArrivalPart, arrived: Arrived, image: Image | None) -> None:
    session.add(
        Arrival(
            part_id=part.id,
            sop_instance_uid=arrived.sop_instance_uid,
            sop_class_uid=arrived.sop_class_uid,
            film_sha256=arrived.film_sha256,
            image_id=image.id if image else None,
            identity=arrived.identity,
            identity_mac=arrived.identity_mac,
            calling_ae=arrived.calling_ae,
            received_at=arrived.received_at,
        )
    )
    part.set_aside += image is None
    session.flush()


def _item(arrived: Arrived, path: str) -> Item:
    number = arrived.accession_number
    return Item(
        image=ImageReference(root=ARCHIVE, path=path, sha256=arrived.film_sha256),
        study_instance_uid=arrived.study_instance_uid,
        series_instance_uid=arrived.series_instance_uid,
        sop_instance_uid=arrived.sop_instance_uid,
        accession=Accession(number=number, issuer=arrived.accession_issuer) if number else None,
        patient_key=arrived.patient_key,
    )


def _again(image: Image) -> Item:
    """Return an item for a film that an earlier part has; it is scored already, or will be once for both."""
    study = image.study
    number = study.accession_number
    return Item(
        image=ImageReference(root=image.root, path=image.path, sha256=image.sha256),
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=image.series_instance_uid,
        sop_instance_uid=image.sop_instance_uid,
        accession=Accession(number=number, issuer=study.accession_issuer) if number else None,
        patient_key=study.patient_key,
    )
