"""Accepts connections, with limits on what a peer may cost that has not said who it is.

pynetdicom starts two threads for each connection and reads whatever length a PDU claims. Here a connection waits in the
lobby, without a thread, until its first byte; one address has a few places there, and the oldest gives way to the
newest. The bytes of a PDU and of an instance are limited, and so is the time that a PDU may take.
"""

import logging
import selectors
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.events import EVT_CONN_OPEN, Event, EventHandlerType
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

if TYPE_CHECKING:
    from pynetdicom.transport import AddressInformation

logger = logging.getLogger(__name__)

#: A request for an association is longer than the PDUs that were agreed on: 128 contexts have about 100 KB.
MIN_PDU_LIMIT = 2**20
#: Connections of all addresses that have not sent a byte.
LOBBY_PLACES = 200


@dataclass(frozen=True)
class Limits:
    """What one connection may cost."""

    #: Silent connections of one address, and connections of it beyond the lobby.
    per_address: int
    #: The longest PDU.
    pdu_bytes: int
    #: What may arrive between two answers: one instance.
    instance_bytes: int
    #: How long a peer may take to say who it is.
    acse_seconds: float = 5.0
    #: How long it may take to send a PDU, and stay silent between two.
    network_seconds: float = 30.0


class TooMuch(ConnectionError):
    """A peer sent more than it may, or took longer. pynetdicom closes the connection."""


class SocketGuard:
    """Reads from an association's socket within limits."""

    def __init__(self, association: Association, limits: Limits) -> None:
        """Take over the reading and sending of an association's socket."""
        self._association, self._limits = association, limits
        self._socket: AssociationSocket = association.dul.socket  # type: ignore[assignment]
        self._send = self._socket.send
        self._since_answer = 0
        # The class has no other place for them, and reads with these names.
        for name in ("recv", "send"):
            setattr(self._socket, name, getattr(self, name))

    def recv(self, length: int) -> bytearray:
        """Return `length` bytes, fewer at the end of the connection.

        Raises:
            TooMuch: they are more than a PDU or an instance may have, or took too long.
            OSError: the connection failed.
        """
        self._since_answer += length
        if length > max(self._limits.pdu_bytes, MIN_PDU_LIMIT) or self._since_answer > self._limits.instance_bytes:
            raise TooMuch("a peer sent more than it may")
        connection = self._socket.socket
        if connection is None:
            return bytearray()
        seconds = self._limits.network_seconds if self._association.is_established else self._limits.acse_seconds
        deadline = time.monotonic() + seconds
        received, at = bytearray(length), 0
        with memoryview(received) as view:
            while at < length:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TooMuch("a peer took too long")
                connection.settimeout(remaining)
                count = connection.recv_into(view[at:])
                if not count:
                    break
                at += count
        connection.settimeout(self._limits.network_seconds)
        del received[at:]
        return received

    def send(self, data: bytes) -> None:
        """Send an answer, after which an instance may follow."""
        self._since_answer = 0
        self._send(data)


class Listener(ThreadedAssociationServer):
    """Hands a connection to pynetdicom once it says something."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        entity: ApplicationEntity,
        address: tuple[str, int],
        handlers: list[EventHandlerType],
        limits: Limits,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Listen at an address; `serve_forever` serves."""
        super().__init__(entity, address, entity.ae_title, [], None, [*handlers, (EVT_CONN_OPEN, self._on_open)])
        self._limits, self._tls = limits, tls
        self._stopping, self._stopped = threading.Event(), threading.Event()
        self._lobby = selectors.DefaultSelector()
        #: Silent connections in the order of their arrival: since when, and from where.
        self._silent: dict[socket.socket, tuple[float, str]] = {}
        #: The threads of connections that have left the lobby.
        self._speaking: dict[str, list[threading.Thread]] = {}

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        """Accept connections until `shutdown`."""
        listening: socket.socket = self.socket  # type: ignore[assignment]
        listening.setblocking(False)  # noqa: FBT003 - the signature of sockets
        self._lobby.register(listening, selectors.EVENT_READ)
        while not self._stopping.is_set():
            for key, _ in self._lobby.select(poll_interval):
                if key.fileobj is listening:
                    self._admit(listening)
                else:
                    self._call(key.fileobj)  # type: ignore[arg-type]
            self._close_silent()
        for connection in list(self._silent):
            self._dismiss(connection)
        self._lobby.close()
        self._stopped.set()

    def shutdown(self) -> None:
        """Stop accepting; associations go on."""
        self._stopping.set()
        self._stopped.wait()
        self.server_close()

    def _admit(self, listening: socket.socket) -> None:
        """Give a new connection a place in the lobby; the oldest one of its address gives way if there is none."""
        try:
            connection, address = listening.accept()
        except OSError as error:
            logger.warning("a connection cannot be accepted: %s", error.strerror)
            return
        connection.settimeout(self._limits.acse_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host = str(address[0])
        neighbours = [silent for silent, (_, other) in self._silent.items() if other == host]
        if len(neighbours) >= self._limits.per_address:
            self._dismiss(neighbours[0])
        elif len(self._silent) >= LOBBY_PLACES:
            self._dismiss(next(iter(self._silent)))
        self._silent[connection] = time.monotonic(), host
        self._lobby.register(connection, selectors.EVENT_READ, address)

    def _call(self, connection: socket.socket) -> None:
        """Start an association on a connection that has something to say."""
        address = self._lobby.unregister(connection).data
        _, host = self._silent.pop(connection)
        if self._count_speaking(host) >= 2 * self._limits.per_address:
            connection.close()
            return
        thread = threading.Thread(target=self._serve, args=(connection, address), daemon=True)
        self._speaking.setdefault(host, []).append(thread)
        thread.start()

    def _count_speaking(self, host: str) -> int:
        """Return how many connections of an address have left the lobby and are open."""
        open_ones = [thread for thread in self._speaking.pop(host, []) if thread.ident is None or thread.is_alive()]
        if open_ones:
            self._speaking[host] = open_ones
        return len(open_ones)

    def _on_open(self, event: Event) -> None:
        """Put a guard on the socket of a new association, and count its thread for its address."""
        SocketGuard(event.assoc, self._limits)
        host = cast("AddressInformation", event.assoc.requestor.address_info).address
        self._speaking.setdefault(host, []).append(event.assoc)

    def _close_silent(self) -> None:
        latest = time.monotonic() - self._limits.acse_seconds
        for connection, (since, _) in list(self._silent.items()):
            if since > latest:
                return
            self._dismiss(connection)

    def _dismiss(self, connection: socket.socket) -> None:
        self._lobby.unregister(connection)
        del self._silent[connection]
        connection.close()

    def _serve(self, connection: socket.socket, address: Any) -> None:  # noqa: ANN401 - as in socketserver
        """Agree on TLS if it is configured, then run the association to its end."""
        if self._tls:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError as error:
                logger.warning("TLS was not agreed on: %s", getattr(error, "reason", type(error).__name__))
                connection.close()
                return
        connection.settimeout(self._limits.network_seconds)
        self.process_request_thread(connection, address)
