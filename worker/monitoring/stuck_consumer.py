"""Ends a worker process that takes no message while messages wait, so that its supervisor starts another.

Celery's loop can stop for good when a child and the broker die at the same moment, and a failing health check does not
restart a container. This module looks at queues and time only, never at tasks.
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

CHECK_SECONDS = 10
#: Added to the time limit of a task, since the next message has to wait for that task.
GRACE_SECONDS = 30


@dataclass
class StallDetector:
    """Decides from messages taken and messages waiting whether a process has stopped taking messages."""

    limit_seconds: float
    clock: Callable[[], float] = time.monotonic
    _healthy_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Start as healthy."""
        self._healthy_at = self.clock()

    def on_task_received(self, **_signal: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
        """Note that a message was taken."""
        self._healthy_at = self.clock()

    def stalled(self, *, waiting: int) -> bool:
        """Return whether messages have waited for more than `limit_seconds` while none was taken."""
        if not waiting:
            self._healthy_at = self.clock()
        return self.clock() - self._healthy_at > self.limit_seconds


def start(queues: Sequence[str], settings: Settings) -> None:
    """Check this process from a thread for as long as it runs; does nothing for a broker in memory."""
    if not broker_url(settings).startswith("redis"):
        return
    detector = StallDetector(settings.task_time_limit_seconds + GRACE_SECONDS)
    signals.task_received.connect(detector.on_task_received, weak=False)
    threading.Thread(target=_run, args=(queues, detector, broker_url(settings)), daemon=True).start()


def _run(queues: Sequence[str], detector: StallDetector, url: str) -> None:
    client = redis.Redis.from_url(
        url, socket_timeout=SOCKET_TIMEOUT_SECONDS, socket_connect_timeout=SOCKET_TIMEOUT_SECONDS
    )
    while not detector.stalled(waiting=_waiting(client, queues)):
        time.sleep(CHECK_SECONDS)
    logger.critical("messages wait and none is taken; this process ends so that another can be started")
    # Neither Celery's loop nor its pool is reliable any more. The child ends when it finds its parent gone.
    os._exit(1)


def _waiting(client: "redis.Redis", queues: Sequence[str]) -> int:
    """Return how many messages wait; 0 while the broker is unreachable."""
    try:
        return sum(int(client.llen(queue)) for queue in queues)
    except redis.RedisError:
        return 0
