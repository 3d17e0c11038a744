"""Starts, kills and stops `thoraq` processes with an environment of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import Connection, create_engine

CHECKOUT = Path(__file__).parent.parent
CXR6 = CHECKOUT.parent / "shared" / "cxr6"
START_SECONDS = 90


class Deployment:
    """The processes of one deployment under test, and the `thoraq` command beside them."""

    def __init__(self, directory: Path, *, broker_url: str, **settings: str) -> None:
        self.directory = directory
        self.environment = (
            {name: value for name, value in os.environ.items() if not name.startswith("THORAQ_")}
            | {
                "THORAQ_DATA_DIR": str(directory),
                "THORAQ_MODE": "demo",
                "THORAQ_BROKER_URL": broker_url,
                "THORAQ_SECRET_KEY": "for this test only",
                "THORAQ_SWEEP_SECONDS": "2",
                "THORAQ_HEARTBEAT_SECONDS": "1",
            }
            | settings
        )
        self.processes: dict[str, subprocess.Popen] = {}

    def thoraq(self, *arguments: str, stdin: str = "") -> str:
        """Run a command to its end and return its stdout."""
        done = subprocess.run(
            [sys.executable, "-m", "worker", *arguments],
            env=self.environment, cwd=CHECKOUT, input=stdin, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"thoraq {arguments} exited with {done.returncode}: {done.stderr}"
        return done.stdout

    def json(self, *arguments: str):
        return json.loads(self.thoraq(*arguments, "--json"))

    def start(self, *arguments: str) -> None:
        """Start a process and, where it has a heartbeat, wait for the first."""
        with (self.directory / f"{arguments[0]}.log").open("ab") as log:
            self.processes[arguments[0]] = subprocess.Popen(
                [sys.executable, "-m", "worker", *arguments], env=self.environment, cwd=CHECKOUT, stdout=log, stderr=log
            )
        if arguments[0] in {"worker", "intake", "trainer", "receiver", "sender"}:
            self.wait_for(lambda: self._alive(arguments[0]), f"the {arguments[0]} to start", START_SECONDS)

    def _alive(self, kind: str) -> bool:
        done = subprocess.run(
            [sys.executable, "-m", "worker", "alive", kind], env=self.environment, cwd=CHECKOUT, capture_output=True
        )
        return done.returncode == 0

    def log(self, kind: str) -> str:
        return (self.directory / f"{kind}.log").read_text()

    def children(self, kind: str) -> list[int]:
        """Return the process ids of a worker's pool children."""
        return self.children_of(self.processes[kind])

    @staticmethod
    def children_of(process: subprocess.Popen) -> list[int]:
        return [child.pid for child in psutil.Process(process.pid).children()]

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """Connect to the deployment's database."""
        engine = create_engine(self.environment["THORAQ_DATABASE_URL"])
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def kill_child(self, kind: str) -> None:
        """SIGKILL the pool child that does the work."""
        for pid in self.children(kind):
            os.kill(pid, signal.SIGKILL)

    def standing(self, *submission: str) -> dict:
        return self.json("status", *submission)

    def wait_until_finished(self, submission: str | None = None, seconds: float = 240) -> dict:
        arguments = [submission] if submission else []

        def finished() -> bool:
            standing = self.standing(*arguments)
            return standing["waiting"] + standing["scoring"] == 0 and standing["scored"] + standing["rejected"] > 0

        self.wait_for(finished, "every film to have its outcome", seconds)
        return self.standing(*arguments)

    def wait_for(self, condition, what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            for kind, process in self.processes.items():
                assert process.poll() is None, f"the {kind} ended with {process.returncode}:\n{self.log(kind)[-3000:]}"
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}; logs in {self.directory}"
            time.sleep(0.2)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
