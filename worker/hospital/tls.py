"""TLS to an archive, with a note of why a handshake failed: a certificate is a matter of set-up, an outage is not."""

import ssl
from typing import Any

from worker.errors import NotConfigured
from worker.settings.destinations import DicomDestination, StowDestination


class _NotingSocket(ssl.SSLSocket):
    """Notes a failed handshake in its context."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the base class says so
        try:
            super().do_handshake(block)
        except ssl.SSLError:
            if isinstance(self.context, NotingContext):
                self.context.failed = True
            raise


class NotingContext(ssl.SSLContext):
    """Knows whether the last handshake failed for a reason of TLS. pynetdicom itself only says "no connection"."""

    sslsocket_class = _NotingSocket
    failed = False


def context_for(destination: DicomDestination | StowDestination) -> NotingContext:
    """Return how connections to a destination are encrypted (BCP 195), and by whose certificate it is recognised.

    Raises:
        NotConfigured: a file cannot be read.
    """
    context: Any = NotingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if destination.authorities:
            context.load_verify_locations(destination.authorities)
        else:
            context.load_default_certs()
        if destination.certificate:
            context.load_cert_chain(destination.certificate, destination.key)
    except OSError as error:
        raise NotConfigured("THORAQ_DESTINATIONS: a certificate or key cannot be read") from error
    return context  # type: ignore[no-any-return]
