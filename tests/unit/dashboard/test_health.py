"""Liveness and readiness, with each dependency gone once."""

import pytest
from sqlalchemy import text

from worker.database import engine, transaction
from worker.settings import settings


def test_alive_is_said_without_asking_anybody(client, monkeypatch):
    """Even when the database is gone."""
    monkeypatch.setattr("dashboard.health.reading", None)

    assert (200, {"status": "alive"}) == ((answer := client.get("/health/live")).status_code, answer.json)


def test_ready_names_every_dependency(client, rows):
    """Database and schema are there, a worker is up, no broker is configured."""
    rows.process()

    answer = client.get("/health/ready")

    assert 200 == answer.status_code
    found = answer.json["dependencies"]
    assert {"database": True, "schema": True, "worker": True, "broker": False} == {
        name: entry["ok"] for name, entry in found.items()
    }
    assert "degraded" == answer.json["status"]


def test_a_missing_column_is_a_schema_that_is_not_up_to_date(client, database):
    """503, and the command that helps."""
    with transaction() as session:
        session.execute(text("ALTER TABLE processes DROP COLUMN device"))

    answer = client.get("/health/ready")

    assert 503 == answer.status_code
    assert "thoraq db upgrade" in answer.json["dependencies"]["schema"]["detail"]


def test_a_database_that_is_gone_is_503(client, tmp_path, monkeypatch):
    """And the rest is unknown, not fine."""
    monkeypatch.setenv("THORAQ_DATABASE_URL", f"sqlite:///{tmp_path}")
    settings.cache_clear()
    engine().dispose()
    engine.cache_clear()

    answer = client.get("/health/ready")

    assert 503 == answer.status_code
    assert not any(entry["ok"] for entry in answer.json["dependencies"].values())


@pytest.mark.parametrize("silent_seconds", [30, 3600])
def test_a_silent_worker_is_not_up(client, rows, silent_seconds):
    """Studies are accepted all the same, so it is no 503."""
    rows.process(seen_seconds_ago=silent_seconds)

    answer = client.get("/health/ready")

    assert (200, False) == (answer.status_code, answer.json["dependencies"]["worker"]["ok"])


def test_a_dead_broker_is_told_and_costs_no_study(client, monkeypatch):
    """The sweeper rings later."""
    monkeypatch.setenv("THORAQ_BROKER_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()

    answer = client.get("/health/ready")

    assert (200, False) == (answer.status_code, answer.json["dependencies"]["broker"]["ok"])
