"""A submission is accepted while Redis is out or its URL is wrong, and its films are scored once Redis answers."""

import base64
import subprocess
import sys
import time

import pytest
from celery import Celery
from deployment import CHECKOUT

from worker import wakeups
from worker.celery_app import SCORE_QUEUE, configuration
from worker.settings import Settings, settings

PASSWORD = "correct horse battery"


@pytest.fixture
def upload(database, redis_server, monkeypatch):
    """Posts a film to the HTTP API of a dashboard whose broker is a real Redis; returns the answer and its seconds."""
    from dashboard.accounts import accounts
    from dashboard.accounts.accounts import Role
    from dashboard.app import create_app
    from dashboard.settings import DashboardSettings

    monkeypatch.setenv("THORAQ_IMAGE_ROOTS", '{"images": "/nowhere"}')
    settings.cache_clear()
    celery = Celery("of this test", set_as_current=False)
    celery.conf.update(configuration(Settings(mode="test", broker_url=redis_server.url)))
    monkeypatch.setattr(wakeups, "app", celery)
    accounts.add("pacs", PASSWORD, Role.UPSTREAM, "test")
    credentials = {"Authorization": "Basic " + base64.b64encode(f"pacs:{PASSWORD}".encode()).decode()}
    client = create_app(DashboardSettings(mode="test", secure_cookies=False)).test_client()

    def post(request_id: str):
        item = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": request_id}
        since = time.monotonic()
        answer = client.post("/api/v1/submissions", json=item | {"image": {"path": "a.png"}}, headers=credentials)
        return answer, time.monotonic() - since

    yield post
    celery.close()


def test_an_upload_is_accepted_though_redis_died_after_the_last_one(upload, redis_server):
    """The connection that was used before is dead: 202 with the id, and wake-ups again when Redis is back."""
    assert 202 == upload("1")[0].status_code
    redis_server.kill()

    for request_id in ("2", "3"):
        answer, seconds = upload(request_id)
        assert (202, 1) == (answer.status_code, answer.json["accepted"])
        assert answer.json["submission_id"]
        assert seconds < 20

    redis_server.start()
    assert wakeups.wake_scorers(1, 1)
    assert wakeups._pending(SCORE_QUEUE) > 0


def submit(deployment, film, url):
    """Submit one film with this broker; return the finished command."""
    environment = deployment.environment | {"THORAQ_BROKER_URL": url}
    command = [sys.executable, "-m", "worker", "submit", str(film)]
    return subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://nowhere.invalid:6379/0"])
def test_a_command_whose_broker_does_not_answer_prints_the_id(deployment, tmp_path, url):
    """The rows are committed; one line says that the sweeper will send the wake-up."""
    (tmp_path / "film").write_bytes(b"x")

    done = submit(deployment, tmp_path / "film", url)

    assert (0, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert 1 == deployment.standing(done.stdout.strip())["waiting"]


@pytest.mark.parametrize(
    "url", ["nonsense", "amqp://guest:hunter2@host/", "redis://:hunter2@host:port/0", "redis://host/letters", "redis://:a#b@h/0"]
)  # fmt: skip
def test_a_broker_that_cannot_be_one_ends_the_command_in_one_line(deployment, tmp_path, url):
    """Nothing is accepted, and the line has no password."""
    (tmp_path / "film").write_bytes(b"x")

    done = submit(deployment, tmp_path / "film", url)

    assert (1, "") == (done.returncode, done.stdout)
    (line,) = done.stderr.splitlines()
    assert "THORAQ_BROKER_URL" in line
    assert "hunter2" not in line
    assert 0 == deployment.standing()["waiting"]
