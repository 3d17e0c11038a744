"""Starts the child processes of the demo, each with a log, restarts those that die, and stops them in order."""

import logging
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from worker.children import killed_with_parent
from worker.errors import ScoringError

logger = logging.getLogger(__name__)

#: How often a child is restarted: enough to get over a passing fault, few enough to show a lasting one.
RESTARTS_PER_CHILD = 5
STOP_SECONDS = 20


@dataclass
class Child:
    """One process of the deployment and its log."""

    arguments: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    #: Whether the process ends by itself; it is then restarted only if it failed.
    ends: bool = False

    def start(self) -> None:
        """Start the process, with its output in its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # In a session of its own, so that Ctrl-C reaches only the demo, which stops its children in order.
            command = killed_with_parent([sys.executable, "-m", "worker", *self.arguments])
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603


@dataclass
class Deployment:
    """The running children."""

    children: list[Child] = field(default_factory=list)

    def restart_dead(self) -> None:
        """Restart every child that died.

        Raises:
            ScoringError: a child died too often.
        """
        for child in self.children:
            code = child.process.poll() if child.process else None
            if code is not None and not (child.ends and code == 0):
                child.restarts += 1
                if child.restarts > RESTARTS_PER_CHILD:
                    raise ScoringError(
                        f"`thoraq {child.arguments[0]}` exits with {code} again and again; see {child.log}"
                    )
                logger.warning("`thoraq %s` exited with %s and is restarted", child.arguments[0], code)
                child.start()

    def stop(self) -> None:
        """Ask every child to finish its work, and kill those that do not within `STOP_SECONDS`."""
        running = [child.process for child in self.children if child.process and child.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
