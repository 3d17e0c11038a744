"""Brings the spool into the ledger, and closes parts: one thread of the receiver.

Every step may be repeated. A database that is out charges nobody: the spool grows, and the porter waits.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from worker import wakeups
from worker.database import is_outage, now, reading, transaction
from worker.errors import ScoringError, TryAgainLater
from worker.films import archive
from worker.hospital import parts
from worker.hospital.spool import Arrived, Spool
from worker.settings import Settings
from worker.settings.doors import Doors
from worker.telemetry import metrics

logger = logging.getLogger(__name__)

#: Instances of one transaction.
BATCH = 32
TURN_SECONDS = 1.0
#: How long the porter lets instances gather: a commit for each of them would make the next ones wait for the disk.
GATHER_SECONDS = 0.25
#: How long the porter waits while the database, the disk or the broker is in trouble.
PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Load:
    """One file of the spool whose film is in the archive."""

    file: Path
    arrived: Arrived
    #: Where its film lies in the archive; None if the instance is set aside.
    path: str | None


class Porter:
    """Moves files from the spool into the ledger."""

    def __init__(
        self, spool: Spool, doors: Doors, settings: Settings, carried: Callable[[], AbstractSet[tuple[str, str]]]
    ) -> None:
        """Keep what the porter needs.

        Args:
            spool: the spool.
            doors: of this receiver.
            settings: the archive, the size of a batch, and how long a part may be open.
            carried: returns source and study UID of the studies of which an open association brought something.
        """
        self._spool, self._doors, self._carried = spool, doors, carried
        self._archive, self._batch_size = settings.archive_dir, settings.batch_size
        self._maximum = timedelta(seconds=settings.part_maximum_seconds)
        self._no_wakeup_before = 0.0
        #: Films for which no wake-up was sent.
        self._unannounced = 0

    def run(self, stopped: threading.Event, on_turn: Callable[[], None]) -> None:
        """Work until `stopped`; `on_turn` is called at every turn."""
        while not stopped.is_set():
            on_turn()
            if self._spool.written.wait(TURN_SECONDS):
                stopped.wait(GATHER_SECONDS)
            self._spool.written.clear()
            try:
                self.turn()
            except (DBAPIError, TryAgainLater, OSError) as error:
                if isinstance(error, DBAPIError) and not is_outage(error):
                    raise
                logger.warning("the spool waits: %s", type(error).__name__)
                stopped.wait(PAUSE_SECONDS)

    def turn(self) -> None:
        """Bring what is in the spool into the ledger, then close the parts that are due.

        Raises:
            DBAPIError: the database is out, or a statement is wrong.
            TryAgainLater: the archive is full or broken.
        """
        began = now()
        files = self._spool.waiting()
        for start in range(0, len(files), BATCH):
            self._move(files[start : start + BATCH])
        usage = self._spool.usage()
        metrics.spool_files.set(usage.files)
        metrics.spool_bytes.set(usage.bytes)
        self._close(began)
        self._wake(0)

    def _move(self, files: Sequence[Path]) -> None:
        loads = [load for file in files if (load := self._load(file))]
        try:
            waiting = self._record(loads)
        except (DBAPIError, ValidationError) as error:
            if is_outage(error):
                raise
            for load in loads:  # One of them is the reason, or another receiver was first with the same study.
                self._record_alone(load)
        else:
            for load in loads:
                self._spool.remove(load.file)
            self._wake(waiting)

    def _load(self, file: Path) -> Load | None:
        """Return a file of the spool with its film stored; one that cannot be read is put aside."""
        try:
            arrived, film = self._spool.read(file)
        except ScoringError as error:
            logger.error("%s; it is put aside", error)  # noqa: TRY400 - the message says it all
            self._spool.put_aside(file)
            return None
        path = archive.put([film], self._archive)[0] if arrived.film_sha256 else None
        return Load(file, arrived, path)

    def _record(self, loads: list[Load]) -> int:
        """Record instances in one transaction; return how many films wait for a worker because of them."""
        with transaction() as session:
            return sum(parts.record(session, load.arrived, load.path, now(), self._maximum) for load in loads)

    def _record_alone(self, load: Load) -> None:
        try:
            waiting = self._record([load])
        except (DBAPIError, ValidationError) as error:
            if is_outage(error):
                raise
            logger.error("an instance cannot be recorded (%s); its file is put aside", type(error).__name__)  # noqa: TRY400
            self._spool.put_aside(load.file)
        else:
            self._spool.remove(load.file)
            self._wake(waiting)

    def _close(self, moment: datetime) -> None:
        """Close the parts that are due.

        Everything that arrived before `moment` is recorded by now: what comes later comes after the silence.
        """
        carried = self._carried()
        with reading() as session:
            if not parts.any_due(session, moment):
                return
        with transaction() as session:
            for part, by in parts.due(session, moment, doors=self._doors, carried=carried, maximum=self._maximum):
                parts.close(session, part, by, now())

    def _wake(self, films: int) -> None:
        """Wake scorers; while the broker does not answer, at most every few seconds."""
        self._unannounced += films
        if not self._unannounced or time.monotonic() < self._no_wakeup_before:
            return
        if wakeups.wake_scorers(self._unannounced, self._batch_size):
            self._unannounced = 0
        else:
            self._no_wakeup_before = time.monotonic() + PAUSE_SECONDS
