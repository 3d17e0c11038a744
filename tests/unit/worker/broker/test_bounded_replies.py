"""A huge value in Redis is read through in pieces; smaller ones are read whole."""

import hashlib
import os
import socket
import threading

import pytest

from worker.broker import bounded_replies
from worker.broker.bounded_replies import BoundedParser, OversizeReply


class Connection:
    """What a parser needs of redis-py's connection."""

    socket_timeout = 5

    def __init__(self, sock):
        from redis._parsers.encoders import Encoder

        self._sock, self.encoder = sock, Encoder("utf-8", "strict", decode_responses=False)


@pytest.fixture
def replies(monkeypatch):
    """A function that sends bytes as Redis does and returns a parser of them; values over 1,000 bytes are huge."""
    monkeypatch.setattr(bounded_replies, "MAX_REPLY_BYTES", 1000)
    ours, theirs = socket.socketpair()
    ours.settimeout(5)

    def send(data: bytes) -> BoundedParser:
        threading.Thread(target=theirs.sendall, args=(data,), daemon=True).start()
        parser = BoundedParser(socket_read_size=4096)
        parser.on_connect(Connection(ours))
        return parser

    yield send
    ours.close()
    theirs.close()


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_a_value_within_the_limit_is_read_whole(replies, size):
    """Nothing changes for ordinary messages."""
    value = os.urandom(size)

    assert [b"score", value] == replies(b"*2\r\n" + bulk(b"score") + bulk(value)).read_response()


@pytest.mark.parametrize("size", [1001, 65_536, 3_000_001])
def test_of_a_huge_value_size_hash_and_first_bytes_stay(replies, size):
    """The replies before and after it are read as well."""
    value = os.urandom(size)
    parser = replies(b"*2\r\n" + bulk(b"score") + bulk(value) + b":7\r\n" + bulk(b"next"))

    key, reply = parser.read_response()

    assert (b"score", OversizeReply) == (key, type(reply))
    assert (size, hashlib.sha256(value).hexdigest()) == (reply.size, reply.sha256)
    assert value[: bounded_replies.HEAD_BYTES] == reply
    assert [7, b"next"] == [parser.read_response(), parser.read_response()]
