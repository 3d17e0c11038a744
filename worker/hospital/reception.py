"""Receives one instance: takes its identity out, seals it, spools the film, and says with which status to answer.

Success means that the film is on the disk. Pixels are for the worker to judge.
"""

import hashlib
import hmac
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from cryptography import x509

from worker.films.deidentification import Split, split, uid
from worker.films.dicom_elements import DamagedElements
from worker.hospital.identity import PATHS, Identity, patient_key, read_identity, seal
from worker.hospital.spool import Arrived, Spool
from worker.inputs.printable import printable
from worker.settings.doors import Door
from worker.storage import disk
from worker.telemetry import metrics

logger = logging.getLogger(__name__)

#: Computed Radiography, Digital X-Ray for presentation, Secondary Capture. Everything else is set aside.
FILM_CLASSES = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.7")
#: The longest text of an accession number and of its issuer that the ledger holds.
MAX_TEXT = 64


class Status(IntEnum):
    """What a C-STORE is answered with (PS3.4 annex B.2.3)."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True)
class Instance:
    """One instance as a C-STORE brings it."""

    #: The called AE title, and its door.
    called: str
    door: Door
    calling_ae: str
    #: What the command says.
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    data_set: bytes


class Reception:
    """What is needed to receive an instance."""

    def __init__(self, spool: Spool, *, site_key: bytes, certificate: x509.Certificate | None, max_bytes: int) -> None:
        """Keep the tools.

        Args:
            spool: where films go.
            site_key: of the pseudonyms.
            certificate: the sender's, for which identities are sealed; None forgets them.
            max_bytes: the most bytes to which a deflated data set may grow.
        """
        self._spool, self._site_key, self._certificate, self._max_bytes = spool, site_key, certificate, max_bytes

    def receive(self, instance: Instance) -> tuple[Status, str | None]:
        """Store an instance; return the status of the answer, and the UID of the study if it was stored."""
        status, study_uid = self._receive(instance)
        metrics.count_received(instance.called, status.name.lower(), is_film=instance.sop_class_uid in FILM_CLASSES)
        return status, study_uid

    def _receive(self, instance: Instance) -> tuple[Status, str | None]:
        if self._spool.is_full():
            return Status.OUT_OF_RESOURCES, None
        try:
            found = split(instance.data_set, instance.transfer_syntax, tuple(PATHS.values()), self._max_bytes)
        except DamagedElements:
            return Status.CANNOT_UNDERSTAND, None
        identity = read_identity(found.values)
        study_uid = uid(identity.study_instance_uid)
        if not (study_uid and uid(identity.sop_instance_uid) and uid(identity.sop_class_uid)):
            return Status.CANNOT_UNDERSTAND, None
        in_header = uid(identity.sop_class_uid), uid(identity.sop_instance_uid)
        if in_header != (instance.sop_class_uid, instance.sop_instance_uid):
            return Status.DOES_NOT_MATCH, None
        try:
            self._store(instance, found, identity, study_uid)
        except OSError as error:
            logger.error("the spool cannot be written: %s", disk.explain(error))  # noqa: TRY400 - no path
            return Status.OUT_OF_RESOURCES, None
        return Status.SUCCESS, study_uid

    def _store(self, instance: Instance, found: Split, identity: Identity, study_uid: str) -> None:
        is_film = instance.sop_class_uid in FILM_CLASSES
        issuer = instance.door.issuer.encode() if instance.door.issuer else identity.issuer_of_patient_id
        arrived = Arrived(
            door=instance.called,
            source=instance.door.source,
            priority=instance.door.priority,
            silence_seconds=instance.door.silence,
            calling_ae=instance.calling_ae,
            received_at=datetime.now(UTC),
            study_instance_uid=study_uid,
            series_instance_uid=uid(identity.series_instance_uid),
            sop_instance_uid=instance.sop_instance_uid,
            sop_class_uid=instance.sop_class_uid,
            accession_number=_text(identity.accession_number),
            accession_issuer=_text(identity.accession_issuer_local or identity.accession_issuer_universal),
            patient_key=patient_key(self._site_key, issuer, identity.patient_id),
            film_sha256=hashlib.sha256(found.film).hexdigest() if is_film else None,
            identity=seal(identity, self._certificate) if is_film and self._certificate else None,
            identity_mac=hmac.new(self._site_key, identity.document(), hashlib.sha256).hexdigest(),
        )
        self._spool.write(arrived, found.film if is_film else b"")


def _text(value: bytes) -> str | None:
    """Return a value for the ledger; letters outside ASCII, which numbers do not have, become question marks."""
    return printable(value.decode("ascii", "replace").replace("\ufffd", "?"))[:MAX_TEXT] or None
