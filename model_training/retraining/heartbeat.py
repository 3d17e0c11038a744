"""A run's pulse: a thread that tells its row how far it is and hears whether to stop; the training asks it.

A thread, because compiling and evaluating take minutes without a batch. It falls silent when the training itself has
not moved for long, so that one that hangs is found, too.
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

#: A training that has not moved for so long hangs: the longest step without a sign is the evaluation.
HANGS_AFTER_SECONDS = 30 * 60


class RunStopped(Exception):
    """The run is to be stopped: someone asked for it."""


class RunLost(Exception):
    """The run is another trainer's, or over."""


class Pulse:
    """Tells the run's row how far it is; while the database is out the training goes on untold."""

    def __init__(self, run_id: int, owner: str, epochs_planned: int, every_seconds: float) -> None:
        """Start with no epoch done and no thread."""
        self._run_id, self._owner, self._every_seconds = run_id, owner, every_seconds
        self._progress = Progress(0, epochs_planned)
        self._standing = Standing.GO_ON
        self._moved_at = time.monotonic()
        #: When the first epoch that this process saw ended, and its number.
        self._first: tuple[float, int] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()

    def on_film(self, _done: int, _total: int) -> None:
        """Take note that a film is read."""
        self.on_step()

    def on_step(self) -> None:
        """Take note that the training moves; the place where it is stopped.

        Raises:
            RunStopped: someone asked for it.
            RunLost: the run is not this trainer's any more.
        """
        self._moved_at = time.monotonic()
        if self._standing is Standing.CANCEL:
            raise RunStopped
        if self._standing is Standing.LOST:
            raise RunLost

    def on_epoch(self, done: int, planned: int, logs: Mapping[str, float]) -> None:
        """Tell of a finished epoch, at once."""
        self._progress = Progress(
            done, planned, logs.get("loss"), logs.get("val_loss"), self._seconds_left(done, planned)
        )
        self.tell()
        self.on_step()

    def _seconds_left(self, done: int, planned: int) -> float | None:
        if self._first is None or done <= self._first[1]:
            self._first = (time.monotonic(), done)
            return None
        since, first = self._first
        return (time.monotonic() - since) / (done - first) * (planned - done)

    def _beat(self) -> None:
        while not self._over.wait(self._every_seconds):
            if time.monotonic() - self._moved_at > HANGS_AFTER_SECONDS:
                logger.error("run %d has not moved for %d s; its pulse stops", self._run_id, HANGS_AFTER_SECONDS)
                return
            self.tell()

    def tell(self) -> None:
        """Tell the row, and keep what it answers."""
        try:
            self._standing = retraining_runs.report(self._run_id, self._owner, self._progress)
        except DBAPIError as error:
            if not is_outage(error):
                raise
            logger.warning("run %d goes on, but the database does not answer", self._run_id)
