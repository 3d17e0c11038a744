"""Stores the heartbeats of a process from a thread of its own.

Celery's loop takes messages, handles signals and watches the child, and a database that does not answer must not stop
it. The loop only says that it turns: a process whose loop stands still has no heartbeat.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import DBAPIError

from worker.database import now
from worker.monitoring import heartbeats
from worker.settings import settings

logger = logging.getLogger(__name__)

#: How long a process that stops waits for the heartbeat that is being stored.
STOP_SECONDS = 5


class HeartbeatThread:
    """Stores a heartbeat every few seconds for as long as the process's loop turns."""

    def __init__(self, name: str, kind: str, work_waits: Callable[[], bool]) -> None:
        """Prepare the thread.

        Args:
            name: of the process, as Celery names its nodes.
            kind: of the process.
            work_waits: asks the database whether work waits that the process could do.
        """
        self._name, self._kind, self._work_waits = name, kind, work_waits
        self._turned, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self, **_signal: Any) -> None:  # noqa: ANN401 - Celery's signal arguments
        """Start the thread, which stores the first heartbeat at once."""
        self._turned.set()
        if self._thread.ident is None:
            self._thread.start()

    def on_turn(self, **_signal: Any) -> None:  # noqa: ANN401
        """Note that the loop turns."""
        self._turned.set()

    def stop(self, **_signal: Any) -> None:  # noqa: ANN401
        """End the thread and delete the process's row."""
        self._stopped.set()
        self._turned.set()
        if self._thread.ident is None:
            return
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():  # The database does not answer; the row is deleted once it is a day old.
            return
        try:
            heartbeats.delete_process(self._name)
        except DBAPIError as error:
            logger.warning("the row of the heartbeat could not be deleted: %s", type(error).__name__)

    def _run(self) -> None:
        started_at = now()
        while self._turned.wait() and not self._stopped.is_set():
            self._turned.clear()
            try:
                heartbeats.record_heartbeat(self._name, self._kind, started_at, work_waits=self._work_waits())
            except DBAPIError as error:
                logger.warning("the heartbeat could not be stored: %s", type(error).__name__)
            self._stopped.wait(settings().heartbeat_seconds)
