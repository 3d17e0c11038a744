"""Ends a worker that consumes nothing while messages wait, so that its supervisor starts another.

Celery's loop has been seen to stand still after a child and the broker died at once; no outside probe restarts a
container by itself. Knows queues and time, no task.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from celery import signals

from worker.celery_app import SOCKET_TIMEOUT_SECONDS, broker_url
from worker.settings import Settings

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10
#: Beyond the longest that a task may last, in which the next message has to wait.
GRACE_SECONDS = 30


@dataclass
class Appetite:
    """Whether a process takes messages, by what it took and what waited."""

    patience_seconds: float
    clock: Callable[[], float] = time.monotonic
    _fine_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin satisfied."""
        self._fine_at = self.clock()

    def took(self, **_signal: Any) -> None:  # noqa: ANN401 - what Celery tells
        """Note that a message was taken."""
        self._fine_at = self.clock()

    def lost(self, *, waiting: int) -> bool:
        """Tell whether messages have waited, and none was taken, for longer than is explained by work."""
        if not waiting:
            self._fine_at = self.clock()
        return self.clock() - self._fine_at > self.patience_seconds


def watch(queues: Sequence[str], settings: Settings) -> None:
    """Look after this process from a thread of its own, for as long as it lives; not for a broker in memory."""
    if not broker_url(settings).startswith("redis"):
        return
    appetite = Appetite(settings.task_time_limit_seconds + GRACE_SECONDS)
    signals.task_received.connect(appetite.took, weak=False)
    threading.Thread(target=_watch, args=(queues, appetite, broker_url(settings)), daemon=True).start()


def _watch(queues: Sequence[str], appetite: Appetite, url: str) -> None:
    client = redis.Redis.from_url(
        url, socket_timeout=SOCKET_TIMEOUT_SECONDS, socket_connect_timeout=SOCKET_TIMEOUT_SECONDS
    )
    while not appetite.lost(waiting=_waiting(client, queues)):
        time.sleep(LOOK_SECONDS)
    logger.critical("messages wait and none is taken; this process ends, for another to be started")
    # Neither Celery's loop nor its pool can be relied on any more. The child ends when it finds its parent gone.
    os._exit(1)


def _waiting(client: "redis.Redis", queues: Sequence[str]) -> int:
    """Return how many messages wait; none that we know of while the broker is out."""
    try:
        return sum(int(client.llen(queue)) for queue in queues)
    except redis.RedisError:
        return 0
