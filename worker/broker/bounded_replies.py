"""Reads the replies of Redis without holding a huge value in memory.

A value in Redis may have 512 MB, and its size is known only when it arrives. One that is over the limit is read through
in pieces: its size, its SHA-256 and its first bytes stay.
"""

import hashlib
from typing import Any

from redis._parsers import _RESP2Parser
from redis._parsers.socket import SocketBuffer

#: The largest value that is held. A message of the largest size is a third shorter.
MAX_REPLY_BYTES = 48 * 2**20
#: What stays of a larger one.
HEAD_BYTES = 16 * 2**10
_PIECE_BYTES = 2**16


class OversizeReply(bytes):
    """The first bytes of a value that is over the limit.

    Attributes:
        size: the bytes of the whole value.
        sha256: the SHA-256 of the whole value, in hexadecimal.
    """

    size: int
    sha256: str


class _BoundedBuffer(SocketBuffer):
    """What was received and is not parsed yet."""

    def read(self, length: int, timeout: Any = None) -> bytes:  # noqa: ANN401 - redis-py's own marker, or seconds
        """Return the next `length` bytes, or `OversizeReply` if they are more than the limit."""
        options = {} if timeout is None else {"timeout": timeout}
        if length <= MAX_REPLY_BYTES:
            return super().read(length, **options)
        digest, head, left = hashlib.sha256(), bytearray(), length
        while left:
            piece = self._buffer.read(min(left, _PIECE_BYTES))
            if not piece:  # All that was received is consumed, so its memory is free again.
                self._buffer.seek(0)
                self._buffer.truncate()
                self._read_from_socket(**options)
                continue
            digest.update(piece)
            head += piece[: HEAD_BYTES - len(head)]
            left -= len(piece)
        super().read(0, **options)  # the end of the line
        reply = OversizeReply(head)
        reply.size, reply.sha256 = length, digest.hexdigest()
        return reply


class BoundedParser(_RESP2Parser):
    """Parses the replies of Redis (RESP 2)."""

    def on_connect(self, connection: Any) -> None:  # noqa: ANN401 - redis-py's connection
        """Read from a new connection."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        self._buffer = _BoundedBuffer(connection._sock, self.socket_read_size, connection.socket_timeout)  # noqa: SLF001
