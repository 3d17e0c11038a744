"""The receiver's associations: who is let in, what is negotiated, and which instances belong to which study.

Denies unless a door is declared. Associations for Verification alone are taken even where films are not, so that a PACS
can always ask whether we are there.
"""

import logging
import ssl
import threading
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, cast

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.events import EVT_C_STORE, EVT_REQUESTED, Event, EventHandlerType
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context

from worker.decoding.dicom_header import PLUGINS
from worker.films.deidentification import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT
from worker.hospital.listener import Limits, Listener
from worker.hospital.reception import FILM_CLASSES, Instance, Reception, Status
from worker.hospital.spool import Spool
from worker.inputs.printable import printable
from worker.settings.doors import Door, Doors
from worker.telemetry import metrics

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.pdu_primitives import A_ASSOCIATE
    from pynetdicom.transport import AddressInformation

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
VERIFICATION = "1.2.840.10008.1.1"
STORAGE_CLASSES = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)
#: Those that the worker decodes. A film comes in the first of them that its sender names: nobody has to decompress.
FILM_SYNTAXES = frozenset({IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, *PLUGINS})

# pynetdicom logs what it receives, and pydicom quotes values in its warnings. We log ourselves, without identifiers.
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
for package in ("pydicom", "pynetdicom"):
    warnings.filterwarnings("ignore", module=package)


class Rejection(Enum):
    """Why an association is rejected: result, source and reason (PS3.8 section 9.3.4)."""

    UNKNOWN_CALLED = (1, 1, 7)
    UNKNOWN_CALLING = (1, 1, 3)
    CONGESTION = (2, 3, 1)
    LIMIT = (2, 3, 2)


@dataclass
class Visit:
    """An association that was let in."""

    called: str
    door: Door
    calling: str
    address: str
    #: Whether it can carry instances, or verifies only.
    carries: bool
    #: The UIDs of the studies of which it brought something.
    studies: set[str] = field(default_factory=set)


class Associations:
    """The receiver's listener and what it knows of each association."""

    def __init__(self, doors: Doors, reception: Reception, spool: Spool, *, most: int, limits: Limits) -> None:
        """Keep what associations need; `start` opens the port.

        Args:
            doors: by their called AE titles.
            reception: stores instances.
            spool: whether it is full decides whether films are taken.
            most: associations at a time that carry instances.
            limits: of one connection; as many associations of one address as it has places.
        """
        self._doors, self._reception, self._spool = doors, reception, spool
        self._most, self._limits = most, limits
        self._lock = threading.Lock()
        self._visits: dict[Association, Visit] = {}
        self._listener: Listener | None = None

    def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen in a thread of its own; return the port, which is a free one for 0.

        Raises:
            OSError: the address is in use or not of this machine.
        """
        entity = ApplicationEntity("THORAQ")
        entity.acse_timeout, entity.network_timeout = self._limits.acse_seconds, self._limits.network_seconds
        entity.dimse_timeout = None
        entity.maximum_pdu_size = self._limits.pdu_bytes
        entity.maximum_associations = 10_000  # We count ourselves: it counts those that have not said who they are.
        handlers: list[EventHandlerType] = [(EVT_REQUESTED, self._on_request), (EVT_C_STORE, self._on_store)]
        self._listener = Listener(entity, (host, port), handlers, self._limits, tls)
        threading.Thread(target=self._listener.serve_forever, name="listener", daemon=True).start()
        return int(self._listener.server_address[1])

    def stop(self, seconds: float) -> None:
        """Close the port; give the associations some time to end, then abort them."""
        if self._listener is None:
            return
        self._listener.shutdown()
        deadline = time.monotonic() + seconds
        while self._open() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        for association in self._open():
            association.abort()

    def carrying(self) -> set[tuple[str, str]]:
        """Return the source and the study UID of all studies of which an open association brought something."""
        return {(visit.door.source, study) for visit in self._open().values() for study in tuple(visit.studies)}

    def count(self) -> int:
        """Return the number of associations."""
        return len(self._open())

    def _open(self) -> dict[Association, Visit]:
        with self._lock:
            self._visits = {association: visit for association, visit in self._visits.items() if association.is_alive()}
            return dict(self._visits)

    def _on_request(self, event: Event) -> None:
        """Let an association in or reject it. Nothing is negotiated that is not set here."""
        association = event.assoc
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        called, calling = request.called_ae_title.strip(), request.calling_ae_title.strip()
        proposed = request.presentation_context_definition_list
        address = cast("AddressInformation", association.requestor.address_info).address
        found = self._judge(called, calling, address, carries=any(c.abstract_syntax != VERIFICATION for c in proposed))
        if isinstance(found, Rejection):
            logger.warning("an association from %s was rejected: %s", printable(calling), found.name.lower())
            metrics.count_association(found.name.lower())
            association.acse.send_reject(*found.value)
            association.kill()
            return
        metrics.count_association("accepted")
        association.acceptor.supported_contexts = acceptable(proposed, films_only=found.door.others == "refuse")
        with self._lock:
            self._visits[association] = found

    def _judge(self, called: str, calling: str, address: str, *, carries: bool) -> Visit | Rejection:
        door = self._doors.get(called)
        if door is None:
            return Rejection.UNKNOWN_CALLED
        if not door.admits(calling, address):
            return Rejection.UNKNOWN_CALLING
        visits = self._open().values()
        if sum(visit.address == address for visit in visits) >= self._limits.per_address:
            return Rejection.LIMIT
        if carries and sum(visit.carries for visit in visits) >= self._most:
            return Rejection.LIMIT
        if carries and self._spool.is_full():
            return Rejection.CONGESTION
        return Visit(called, door, calling, address, carries)

    def _on_store(self, event: Event) -> int:
        """Answer a C-STORE."""
        visit = self._visits[event.assoc]
        request, context = cast("C_STORE", event.request), event.context
        sop_class_uid = str(request.AffectedSOPClassUID)
        if sop_class_uid != str(context.abstract_syntax):
            return Status.DOES_NOT_MATCH
        status, study_uid = self._reception.receive(
            Instance(
                visit.called,
                visit.door,
                visit.calling,
                sop_class_uid,
                str(request.AffectedSOPInstanceUID),
                str(context.transfer_syntax),
                request.DataSet.getvalue() if request.DataSet else b"",
            )
        )
        if study_uid:
            visit.studies.add(study_uid)
        return status


def acceptable(proposed: Iterable[PresentationContext], *, films_only: bool) -> list[PresentationContext]:
    """Return the contexts that are supported, with the transfer syntaxes in the order in which the sender names them.

    Args:
        proposed: by the sender.
        films_only: whether other objects than films are refused.
    """
    order: dict[str, dict[str, None]] = {}
    for context in proposed:
        abstract = str(context.abstract_syntax)
        is_film = abstract in FILM_CLASSES
        if not (is_film or abstract == VERIFICATION or (abstract in STORAGE_CLASSES and not films_only)):
            continue
        syntaxes = [str(syntax) for syntax in context.transfer_syntax]
        # An object that is set aside is not decoded: its sender may choose.
        usable = [syntax for syntax in syntaxes if syntax in FILM_SYNTAXES] if is_film else syntaxes
        order.setdefault(abstract, {}).update(dict.fromkeys(usable))
    return [build_context(abstract, list(syntaxes)) for abstract, syntaxes in order.items() if syntaxes]
