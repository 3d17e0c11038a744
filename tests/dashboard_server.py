"""Starts and stops one `thoraq dashboard` as a server, and sends it requests."""

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from deployment import CHECKOUT

from worker.demo.embedded_redis import free_port

PASSWORD = "correct horse battery"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"pacs-north:{PASSWORD}".encode()).decode()}
PROMPT_SECONDS = 2


class Server:
    """One `thoraq dashboard` on SQLite."""

    def __init__(self, directory: Path, *arguments: str, **settings: str) -> None:
        self.port = free_port()
        self.host = "127.0.0.1"
        self.log = directory / "dashboard.log"
        self.environment = (
            {name: value for name, value in os.environ.items() if not name.startswith("THORAQ_")}
            | {"THORAQ_DATA_DIR": str(directory), "THORAQ_MODE": "demo", "THORAQ_BROKER_URL": "redis://127.0.0.1:1/0",
               "THORAQ_SECRET_KEY": "for this test only", "THORAQ_MIN_FREE_BYTES": "0",
               "THORAQ_IMAGE_ROOTS": json.dumps({"images": str(directory)})}
            | settings
        )  # fmt: skip
        self.command("db", "upgrade")
        self.command("user", "add", "pacs-north", "--role", "upstream", "--password-stdin", stdin=PASSWORD + "\n")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker", "dashboard", "--port", str(self.port), *arguments],
                env=self.environment, cwd=CHECKOUT, stdout=log, stderr=log,
            )  # fmt: skip

    def command(self, *arguments: str, stdin: str = "") -> None:
        subprocess.run([sys.executable, "-m", "worker", *arguments], env=self.environment, cwd=CHECKOUT, input=stdin,
                       text=True, check=True, capture_output=True)  # fmt: skip

    def wait(self) -> "Server":
        """Wait until it answers."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(OSError, http.client.HTTPException):
                self.get("/health/live")
                return self
            time.sleep(0.1)
        pytest.fail(f"no answer: {self.log.read_text()}")

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=60)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, float]:
        """Return the status and the seconds."""
        began = time.monotonic()
        return self.request("GET", path)[0], time.monotonic() - began

    def submit(self, body: bytes, content_type: str, headers: dict[str, str] = BASIC) -> tuple[int, str | None]:
        """Return the status and the code."""
        status, text, _ = self.request("POST", "/api/v1/submissions", body, Content_Type=content_type, **headers)
        return status, json.loads(text).get("code")

    def assert_prompt(self) -> None:
        """Check that health checks and a page are answered at once."""
        for path in ("/health/live", "/health/ready", "/login"):
            status, seconds = self.get(path)
            assert status == 200, path
            assert seconds < PROMPT_SECONDS, (path, seconds)

    def serving(self) -> list[psutil.Process]:
        """Return the processes that serve."""
        return psutil.Process(self.process.pid).children()

    def peak_mb(self) -> float:
        """Return the most memory that the serving process ever had."""
        status = Path(f"/proc/{self.serving()[0].pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def stop(self) -> float:
        """Stop it; return the seconds that this took."""
        began = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - began
