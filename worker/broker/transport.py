"""The transport through which Celery talks to Redis: kombu's, which hands over only messages that Celery can read.

A message is read (`worker.broker.task_messages`) between Redis and kombu. One that cannot be run is described to the
intake process, which stores and counts it. Messages that were taken and not acknowledged return to their queue in the
same way, and keys of a wrong type are set aside.
"""

import functools
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import redis
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from redis.exceptions import ResponseError

from worker.broker import task_messages, wrong_types
from worker.broker.bounded_replies import MAX_REPLY_BYTES, BoundedParser, OversizeReply
from worker.broker.frames import MalformedMessage
from worker.broker.sender_keys import NO_KEY
from worker.broker.set_aside import QUEUES, Flaw, Place, SetAside
from worker.broker.wrong_types import mended
from worker.celery_app import INTAKE_QUEUE, app
from worker.inputs import bounded_json
from worker.inputs.bounded_json import UnreadableJson

logger = logging.getLogger(__name__)

#: The most unacknowledged messages of dead processes that one pass returns to their queues.
RESTORED_AT_ONCE = 1000
#: Drops members of the index that are too long to be read, and so too long to be named.
DROP_LONG_TAGS = """
for _, tag in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if #tag > tonumber(ARGV[1]) then
        redis.call('ZREM', KEYS[1], tag)
        redis.call('HDEL', KEYS[2], tag)
    end
end
"""


class _Client(redis.Redis):
    """A client whose consumer finds only messages that were read and written anew."""

    #: Takes a queue's key and the bytes of a message; returns what kombu may read, or None.
    admit: Callable[[bytes, bytes], bytes | None]
    mend: Callable[[], None]

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:  # noqa: ANN401
        """Return the reply to a command; None for a message that is not handed over."""
        try:
            reply = super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            if command_name != "BRPOP" or not wrong_types.is_wrong_type(error):
                raise
            self.mend()
            return None
        if command_name != "BRPOP" or not reply:
            return reply
        key, message = reply
        admitted = self.admit(key, message)
        return admitted and (key, admitted)


class Origin(NamedTuple):
    """Where a message stood before it was taken."""

    queue: str
    #: The queue's list in Redis for the message's priority.
    key: str
    message: bytes


class QoS(kombu_redis.QoS):
    """The messages that were taken and are not acknowledged."""

    def mend(self) -> None:
        """Set keys of a wrong type aside."""
        self.channel.mend()

    restore_unacked = mended(kombu_redis.QoS.restore_unacked)
    _append = mended(kombu_redis.QoS.append)
    _ack = mended(kombu_redis.QoS.ack)
    _reject = mended(kombu_redis.QoS.reject)

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401 - kombu's message
        """Note that a message was taken; if Redis cannot store it, run it all the same: it exists only here."""
        try:
            self._append(message, delivery_tag)
        except ResponseError as error:
            logger.warning("Redis does not store a message that was taken: %s", error)
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Forget a message that was run; if Redis refuses, it comes back, which the ledger makes harmless."""
        try:
            self._ack(delivery_tag)
        except ResponseError as error:
            logger.warning("Redis does not forget a message that was run: %s", error)
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's
        """Return a message to its queue, or forget it; if Redis refuses, it comes back later."""
        try:
            self._reject(delivery_tag, requeue=requeue)
        except ResponseError as error:
            logger.warning("Redis does not take a message back: %s", error)
            virtual.QoS.ack(self, delivery_tag)

    @mended
    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 10) -> None:
        """Return messages that nobody acknowledged in time to their queues, at most `RESTORED_AT_ONCE`."""
        with self.channel.conn_or_acquire() as client:
            if client.ttl(self.unacked_mutex_key) == -1:  # kombu's own lock always ends.
                client.unlink(self.unacked_mutex_key)
        super().restore_visible(start, num or RESTORED_AT_ONCE, interval)

    def restore_by_tag(self, tag: bytes | str, client: Any = None, leftmost: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - kombu's
        """Return one message to the queue from which it came; set it aside if that cannot be known."""
        unreadable: list[bytes] = []

        def restore(pipe: Any) -> None:  # noqa: ANN401
            unreadable.clear()
            entry = pipe.hget(self.unacked_key, tag)
            origin = self.channel.origin(entry) if entry is not None else None
            fits = origin is not None and pipe.type(origin.key) in {b"list", b"none"}
            if origin is not None and origin.queue in QUEUES and not fits:
                raise ResponseError("WRONGTYPE of the queue to which a message returns")
            pipe.multi()
            self._remove_from_indices(tag, pipe)
            if origin is not None and fits:
                (pipe.lpush if leftmost else pipe.rpush)(origin.key, origin.message)
            elif entry is not None:
                unreadable.append(entry)

        with self.channel.conn_or_acquire(client) as connection:
            if isinstance(tag, OversizeReply):
                connection.eval(DROP_LONG_TAGS, 2, self.unacked_index_key, self.unacked_key, MAX_REPLY_BYTES)
                return
            connection.transaction(restore, self.unacked_key)
        for entry in unreadable:
            self.channel.set_aside(SetAside.of(entry, Place.UNACKED, Flaw.NOT_A_TASK))


class Channel(kombu_redis.Channel):
    """kombu's channel, which reads each message before kombu does."""

    QoS = QoS

    _queue_bind = mended(kombu_redis.Channel._queue_bind)  # noqa: SLF001
    _put = mended(kombu_redis.Channel._put)  # noqa: SLF001
    _size = mended(kombu_redis.Channel._size)  # noqa: SLF001

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's
        return super()._connparams(asynchronous=asynchronous) | {"protocol": 2, "parser_class": BoundedParser}

    def _get_client(self) -> Callable[..., _Client]:
        super()._get_client()  # checks the version of redis-py
        return functools.partial(self._client_of, _Client)

    def _client_of(self, kind: type[_Client], **options: Any) -> _Client:  # noqa: ANN401
        client = kind(**options)
        client.admit, client.mend = self.admit, self.mend
        return client

    def admit(self, key: bytes, message: bytes) -> bytes | None:
        """Return a message as kombu may read it, or None after it was set aside or has expired."""
        queue = key.decode().rsplit(self.sep, 1)[0]
        try:
            tasks = {name for name in app.tasks if not name.startswith("celery.")}
            return task_messages.read(message, tasks, datetime.now(UTC)).write(queue)
        except MalformedMessage as error:
            # A wake-up that nobody took in time is replaced by the next.
            if error.flaw != Flaw.EXPIRED or error.key != NO_KEY:
                self.set_aside(SetAside.of(message, queue, error.flaw, error.key))
            return None

    def set_aside(self, message: SetAside) -> None:
        """Log what was set aside, and have an intake process store it."""
        logger.warning("a message was set aside (%s): %s, SHA-256 %s", message.place, message.flaw, message.sha256)
        with self.conn_or_acquire() as client:
            try:
                client.rpush(INTAKE_QUEUE, task_messages.aside(message).write(INTAKE_QUEUE))
            except ResponseError as error:
                logger.error("Redis does not store what was set aside: %s", error)  # noqa: TRY400 - one line is enough

    def origin(self, entry: bytes) -> "Origin | None":
        """Return where a message stood that was taken, and its bytes; None if kombu did not write the entry."""
        if isinstance(entry, OversizeReply):
            return None
        try:
            value = bounded_json.loads(entry, max_bytes=MAX_REPLY_BYTES)
        except UnreadableJson:
            return None
        match value:
            case [dict(frame), str(), str(queue)] if queue:
                properties = frame.get("properties")
                priority = properties.get("priority") if isinstance(properties, dict) else 0
                step = min(max(priority, 0), self.max_priority) if isinstance(priority, int) else 0
                return Origin(queue, self._q_for_pri(queue, step), json.dumps(frame).encode())
        return None

    def mend(self) -> None:
        """Set keys of a wrong type aside, and find the messages again that are taken but in no index."""
        keys = wrong_types.expected_types(
            lambda queue: [self._q_for_pri(queue, step) for step in self.priority_steps],
            self.unacked_key,
            self.unacked_index_key,
        )
        with self.conn_or_acquire() as client:
            found = [aside for key, kind in keys if (aside := wrong_types.set_aside(client, key, kind))]
            for tag in client.hkeys(self.unacked_key) if found else ():
                client.zadd(self.unacked_index_key, {tag: datetime.now(UTC).timestamp()}, nx=True)
        for aside in found:
            self.set_aside(aside)


class Transport(kombu_redis.Transport):
    """kombu's transport for Redis with our channel."""

    Channel = Channel
