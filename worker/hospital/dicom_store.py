"""Sends objects by C-STORE: several in one association."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association

from worker.hospital.report_document import CLASSES
from worker.hospital.tls import NotingContext, context_for
from worker.hospital.verdicts import Answer, again, of_rejection, of_status, refused, rest
from worker.settings.destinations import DicomDestination

#: Seconds for the connection, for the answer to the association, for an answer to a C-STORE, and for silence.
CONNECTION_SECONDS, ACSE_SECONDS, DIMSE_SECONDS, NETWORK_SECONDS = 10, 10, 20, 20
TRANSFER_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

#: Its messages quote what is sent.
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


class Unavailable(Exception):
    """Nothing could be sent to a destination.

    Attributes:
        answer: the verdict for whatever was to be sent.
    """

    def __init__(self, answer: Answer) -> None:
        """Keep the verdict."""
        super().__init__(answer.code)
        self.answer = answer


class DicomChannel:
    """An open association with an archive."""

    def __init__(self, association: Association) -> None:
        """Keep the association, which the caller releases."""
        self._association = association
        self._accepted = {context.abstract_syntax for context in association.accepted_contexts}

    def report_class(self) -> UID | None:
        """Return the class of reports that the archive takes; None if it takes none."""
        return next((sop_class for sop_class in CLASSES if sop_class in self._accepted), None)

    def send(self, dataset: Dataset) -> Answer:
        """Send one object and return the verdict on the answer."""
        if not self._association.is_established:
            return again("aborted")
        if dataset.SOPClassUID not in self._accepted:
            return refused("context_not_accepted")
        try:
            status = self._association.send_c_store(dataset)
        except (RuntimeError, ValueError):  # The association ended meanwhile, or no context has the transfer syntax.
            return again("aborted") if not self._association.is_established else refused("context_not_accepted")
        return of_status(status.get("Status"))


@contextmanager
def open_association(destination: DicomDestination) -> Iterator[DicomChannel]:
    """Yield an open association with an archive; release it at the end.

    Raises:
        Unavailable: there is none.
        NotConfigured: a file of the destination cannot be read.
    """
    entity = AE(destination.calling)
    entity.connection_timeout, entity.acse_timeout = CONNECTION_SECONDS, ACSE_SECONDS
    entity.dimse_timeout, entity.network_timeout = DIMSE_SECONDS, NETWORK_SECONDS
    for sop_class in (*CLASSES, SecondaryCaptureImageStorage):
        entity.add_requested_context(sop_class, list(TRANSFER_SYNTAXES))
    context = context_for(destination) if destination.tls else None
    association = entity.associate(
        destination.host,
        destination.port,
        ae_title=destination.called,
        evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)],
        tls_args=(context, destination.host) if context else None,
    )
    if not association.is_established:
        raise Unavailable(_why(association, context))
    try:
        yield DicomChannel(association)
    finally:
        if association.is_established:
            association.release()


def _send_at_once(event: evt.Event) -> None:
    """Do not wait for the acknowledgement of small packets, which costs 40 ms for each object."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _why(association: Association, context: NotingContext | None) -> Answer:
    """Return the verdict on an association that was not established."""
    answer = association.acceptor.primitive
    if answer is not None and association.is_rejected:
        return of_rejection(answer.result or 0, answer.result_source or 0, answer.diagnostic or 0)
    if answer is not None and association.rejected_contexts:
        return refused("context_not_accepted")
    if context is not None and context.failed:
        return rest("certificate")
    return again("no_association")
