"""Liveness and readiness, with each dependency down once."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from worker.database import engine, now, transaction
from worker.monitoring.records import Process
from worker.settings import settings
from worker.studies.records import Image


def test_liveness_needs_no_dependency(client, monkeypatch):
    """This also holds while the database is down."""
    monkeypatch.setattr("dashboard.operations.health.reading", None)

    assert (200, {"status": "alive"}) == ((answer := client.get("/health/live")).status_code, answer.json)


def test_ready_names_every_dependency(client, rows):
    """Database, schema and worker are up; no broker is configured."""
    rows.process()

    answer = client.get("/health/ready")

    assert 200 == answer.status_code
    dependencies = answer.json["dependencies"]
    states = {name: entry["state"] for name, entry in dependencies.items()}
    assert {
        "database": "up", "schema": "up", "storage": "up", "worker": "up", "sweeper": "unknown", "queue": "up",
        "broker": "down",
    } == states  # fmt: skip
    assert {name: state == "up" for name, state in states.items()} == {
        name: e["ok"] for name, e in dependencies.items()
    }
    assert "degraded" == answer.json["status"]


def test_a_missing_column_is_a_schema_that_is_not_up_to_date(client, database):
    """The answer is 503 and names the command that helps."""
    with transaction() as session:
        session.execute(text("ALTER TABLE processes DROP COLUMN device"))

    answer = client.get("/health/ready")

    assert 503 == answer.status_code
    assert "thoraq db upgrade" in answer.json["dependencies"]["schema"]["detail"]


def test_a_database_that_is_gone_is_503(client, tmp_path, monkeypatch):
    """The other dependencies are unknown."""
    monkeypatch.setenv("THORAQ_DATABASE_URL", f"sqlite:///{tmp_path}")
    settings.cache_clear()
    engine().dispose()
    engine.cache_clear()

    answer = client.get("/health/ready")

    assert 503 == answer.status_code
    assert ["storage"] == [name for name, entry in answer.json["dependencies"].items() if entry["ok"]]


def test_a_database_of_a_later_version_is_named(app, client):
    """It was upgraded before this dashboard first connected."""
    with transaction() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        session.execute(text("INSERT INTO alembic_version VALUES ('9999')"))
    engine().dispose()
    engine.cache_clear()

    answer, page = client.get("/health/ready"), client.get("/login")

    assert 503 == answer.status_code
    assert "the schema 9999" in answer.json["dependencies"]["database"]["detail"]
    assert 200 == page.status_code  # It asks nothing of the database.


@pytest.mark.parametrize("silent_seconds", [30, 3600])
def test_a_silent_worker_is_not_up(client, rows, silent_seconds):
    """The answer is not 503, since studies are still accepted."""
    rows.process(seen_seconds_ago=silent_seconds)

    answer = client.get("/health/ready")

    assert (200, False) == (answer.status_code, answer.json["dependencies"]["worker"]["ok"])


def test_a_broker_that_is_down_is_reported_and_studies_are_accepted(client, monkeypatch):
    """The sweeper sends the wake-ups later."""
    monkeypatch.setenv("THORAQ_BROKER_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()

    answer = client.get("/health/ready")

    assert (200, False) == (answer.status_code, answer.json["dependencies"]["broker"]["ok"])


def test_a_stalled_worker_is_reported(client, rows, database):
    """It is connected and has a heartbeat; only its work shows that it is stuck."""
    rows.process()
    with transaction() as session:
        session.execute(update(Process).values(work_waits_since=now() - timedelta(seconds=61)))

    worker = client.get("/health/ready").json["dependencies"]["worker"]

    assert (False, "down") == (worker["ok"], worker["state"])
    assert "1 finishing nothing though films wait" in worker["detail"]


@pytest.mark.parametrize(("silent_seconds", "state"), [(0, "up"), (30, "unknown"), (3600, "down")])
def test_up_unknown_and_down_are_three_things(client, rows, silent_seconds, state):
    """A process that is silent for a short time may still be up."""
    rows.process(seen_seconds_ago=silent_seconds)

    assert state == client.get("/health/ready").json["dependencies"]["worker"]["state"]


@pytest.mark.parametrize(("age_seconds", "state"), [(100, "up"), (130, "down")])
def test_the_oldest_waiting_film_is_an_alarm(client, rows, age_seconds, state):
    """A film that waits for two minutes is an alarm, whatever the status of the processes."""
    rows.study(None)
    with transaction() as session:
        session.execute(update(Image).values(received_at=now() - timedelta(seconds=age_seconds)))

    assert state == client.get("/health/ready").json["dependencies"]["queue"]["state"]


@pytest.mark.parametrize(("age_seconds", "state"), [(40, "up"), (100, "down")])
def test_a_sweeper_that_has_stopped_is_reported(client, rows, age_seconds, state):
    """Without it, a film whose wake-up was lost keeps waiting."""
    rows.process(seen_seconds_ago=age_seconds, kind="intake", name="intake-1@host")

    assert state == client.get("/health/ready").json["dependencies"]["sweeper"]["state"]
