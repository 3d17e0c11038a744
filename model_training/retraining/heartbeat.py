"""The heartbeat of a retraining run: a thread writes its progress to its row and reads whether the run must stop.

It is a thread because compiling and evaluating take minutes without a batch. It stops when the training itself makes
no progress for a long time, so that the sweeper also finds a training that hangs.
"""

import logging
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError

from worker.database import is_outage
from worker.models import retraining_runs
from worker.models.retraining_runs import Progress, Standing

logger = logging.getLogger(__name__)

#: A training without progress for this long hangs; the longest step that reports none is the evaluation.
HANGS_AFTER_SECONDS = 30 * 60


class RunStopped(Exception):
    """Somebody asked for the run to stop."""


class RunLost(Exception):
    """Another trainer has the run, or it is over."""


class RunHeartbeat:
    """Writes a run's progress to its row; the training goes on without it while the database is unreachable."""

    def __init__(self, run_id: int, owner: str, epochs_planned: int, every_seconds: float) -> None:
        """Set the progress to no epoch; the thread is started by `with`."""
        self._run_id, self._owner, self._every_seconds = run_id, owner, every_seconds
        self._progress = Progress(0, epochs_planned)
        self._standing = Standing.GO_ON
        self._progressed_at = time.monotonic()
        #: When the first epoch in this process ended, and its number.
        self._first: tuple[float, int] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="run-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def on_film(self, _done: int, _total: int) -> None:
        """Record progress: a film was read."""
        self.on_step()

    def on_step(self) -> None:
        """Record progress, and stop the training here if the row says so.

        Raises:
            RunStopped: somebody asked for the run to stop.
            RunLost: another trainer has the run, or it is over.
        """
        self._progressed_at = time.monotonic()
        if self._standing is Standing.CANCEL:
            raise RunStopped
        if self._standing is Standing.LOST:
            raise RunLost

    def on_epoch(self, done: int, planned: int, logs: Mapping[str, float]) -> None:
        """Write a finished epoch to the row at once."""
        self._progress = Progress(
            done, planned, logs.get("loss"), logs.get("val_loss"), self._seconds_left(done, planned)
        )
        self.send()
        self.on_step()

    def _seconds_left(self, done: int, planned: int) -> float | None:
        if self._first is None or done <= self._first[1]:
            self._first = (time.monotonic(), done)
            return None
        since, first = self._first
        return (time.monotonic() - since) / (done - first) * (planned - done)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            if time.monotonic() - self._progressed_at > HANGS_AFTER_SECONDS:
                logger.error("run %d made no progress for %d s; its heartbeat stops", self._run_id, HANGS_AFTER_SECONDS)
                return
            self.send()

    def send(self) -> None:
        """Write the progress to the row and keep the standing that it returns."""
        try:
            self._standing = retraining_runs.report(self._run_id, self._owner, self._progress)
        except DBAPIError as error:
            if not is_outage(error):
                raise
            logger.warning("run %d goes on while the database does not answer", self._run_id)
