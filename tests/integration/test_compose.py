"""The compose file without Docker: each of our services is started with its command and passes its health check."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from worker.demo.embedded_redis import free_port, server_path

CHECKOUT = Path(__file__).parent.parent.parent
SERVICES = YAML(typ="safe").load(CHECKOUT / "docker-compose.yml")["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("thoraq")}
SECRETS = {"POSTGRES_PASSWORD": "p" * 32, "REDIS_PASSWORD": "r" * 32, "THORAQ_SECRET_KEY": "s" * 32}


def filled(value: str) -> str:
    """Fill in variables as compose does, as far as this file uses them."""

    def one(match: re.Match) -> str:
        name, operator, word = match["name"], match["operator"], match["word"]
        return SECRETS.get(name, "" if operator == ":?" else word)

    pattern = r"\$\{(?P<name>\w+)(?P<operator>:-|-|:\?)(?P<word>(?:[^{}])*)\}"
    return re.sub(pattern, one, value).replace("$$", "$")


class Host:
    """One machine that runs the services, each with the environment of the compose file."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.directory = directory
        self.redis_port, self.web_port = free_port(), free_port()
        self.overrides = {
            "THORAQ_DATABASE_URL": database_url,
            "THORAQ_BROKER_URL": f"redis://:{SECRETS['REDIS_PASSWORD']}@127.0.0.1:{self.redis_port}/0",
            "THORAQ_DATA_DIR": str(directory / "data"),
            # The periods in the file would make the test last minutes.
            "THORAQ_SWEEP_SECONDS": "1",
            "THORAQ_HEARTBEAT_SECONDS": "1",
        }
        self.processes: dict[str, subprocess.Popen] = {}

    def environment(self, name: str) -> dict[str, str]:
        declared = {key: filled(str(value)) for key, value in SERVICES[name].get("environment", {}).items()}
        path = f"{Path(sys.executable).parent}:{Path(server_path()).parent}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.directory), "TF_CPP_MIN_LOG_LEVEL": "2"} | declared | self.overrides

    def start(self, name: str) -> None:
        service = SERVICES[name]
        command = [*service.get("entrypoint", ["thoraq"] if name in OURS else []), *service.get("command", [])]
        command = [filled(part) for part in command]
        if name == "redis":
            options = f"--port {self.redis_port} --dir {self.directory}"
            command[-1] = command[-1].replace("redis-server -", f"redis-server - {options}", 1)
        if name == "dashboard":
            command[command.index("8000")] = str(self.web_port)
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=self.environment(name),
                cwd=self.directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def healthy(self, name: str) -> bool:
        kind, *test = SERVICES[name]["healthcheck"]["test"]
        test = [part.replace("127.0.0.1:8000", f"127.0.0.1:{self.web_port}") for part in test]
        if kind == "CMD-SHELL":
            test = ["sh", "-c", test[0].replace("redis-cli", f"redis-cli -p {self.redis_port}")]
        done = subprocess.run(test, env=self.environment(name), cwd=self.directory, capture_output=True)
        return done.returncode == 0

    def wait_until_healthy(self, name: str) -> None:
        deadline = time.monotonic() + 90
        while not self.healthy(name):
            assert self.processes[name].poll() is None, (self.directory / f"{name}.log").read_text()[-3000:]
            assert time.monotonic() < deadline, f"{name} does not become healthy"
            time.sleep(0.3)

    def stop(self) -> None:
        """Stop each service by a signal to its first process, as Docker does; kill whatever is left of it."""
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in reversed(self.processes.values()):
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def host(tmp_path, postgres_database):
    host = Host(tmp_path, postgres_database)
    yield host
    host.stop()


def test_every_service_starts_as_declared_and_passes_its_own_health_check(host):
    """In production mode, with the commands, secrets and environment of the file."""
    host.start("redis")
    host.wait_until_healthy("redis")
    host.start("migrate")
    assert 0 == host.processes.pop("migrate").wait(120), (host.directory / "migrate.log").read_text()
    running = [name for name in OURS if name not in {"migrate", "worker-gpu"}]

    for name in running:
        host.start(name)

    for name in running:
        host.wait_until_healthy(name)
    assert {"intake", "worker", "trainer", "beat", "dashboard"} == set(running)


def test_redis_ends_when_its_container_is_stopped(host):
    """The signal goes to the first process of the container; Redis writes its file before it ends."""
    host.start("redis")
    host.wait_until_healthy("redis")

    host.processes["redis"].terminate()

    assert 0 == host.processes["redis"].wait(30)
    assert not host.healthy("redis")
    assert "Redis is now ready to exit" in (host.directory / "redis.log").read_text()


def test_a_health_check_fails_where_nothing_runs(host):
    """A check that always passes would be useless."""
    host.start("redis")
    host.start("migrate")
    assert 0 == host.processes.pop("migrate").wait(120)

    assert {name: False for name in OURS if name != "migrate"} == {
        name: host.healthy(name) for name in OURS if name != "migrate"
    }


def test_nothing_starts_without_its_secrets():
    """A missing secret stops compose before a port is open."""
    text = (CHECKOUT / "docker-compose.yml").read_text()

    for name in SECRETS:
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text
    assert all(service.get("privileged") is None for service in SERVICES.values())
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in OURS.values())
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", []))


def test_the_image_of_the_dashboard_has_a_small_lock_of_its_own():
    """Every image is built from a lock that exists, under a name that no other lock has."""
    locks = {
        service["image"]: service["build"].get("args", {}).get("LOCK", "requirements.lock") for service in OURS.values()
    }

    assert "requirements-dashboard.lock" == locks[OURS["dashboard"]["image"]]
    assert len(locks) == len(set(locks.values()))
    assert all((CHECKOUT / lock).is_file() for lock in locks.values())
