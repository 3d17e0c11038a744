"""The configuration of Celery, and settings from files."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from kombu.exceptions import OperationalError

from worker import wakeups
from worker.celery_app import app, beat_schedule, configuration
from worker.errors import NotConfigured
from worker.settings import Settings


def test_messages_are_json_acknowledged_late_and_redelivered_when_a_child_dies():
    """With these settings, no message is lost."""
    conf = configuration(Settings(mode="test"))

    assert (["json"], "json") == (conf["accept_content"], conf["task_serializer"])
    assert conf["task_acks_late"]
    assert conf["task_reject_on_worker_lost"]
    assert 1 == conf["worker_prefetch_multiplier"]
    assert conf["visibility_timeout"] == conf["broker_transport_options"]["visibility_timeout"]


def test_time_limit_lease_and_visibility_are_in_their_order():
    """A running batch is never repeated: it is killed first, then its lease ends, then Redis delivers it again."""
    settings = Settings()

    assert settings.task_time_limit_seconds < settings.lease_seconds < settings.visibility_timeout_seconds
    assert settings.task_budget_seconds < settings.task_time_limit_seconds


def test_without_a_broker_production_refuses():
    """Celery's default could be another broker on this machine."""
    with pytest.raises(NotConfigured, match="THORAQ_BROKER_URL"):
        configuration(Settings(mode="production"))


@pytest.mark.parametrize("url", ["amqp://u:hunter2@host/", "redis://:hunter2@host:port/0", "redis://host/db", "host"])
def test_a_url_that_leads_to_no_redis_is_refused_without_its_password(url):
    """Every process and command says so in one line when it starts."""
    with pytest.raises(NotConfigured, match="THORAQ_BROKER_URL") as caught:
        configuration(Settings(broker_url=url))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://", "redis://:p%40w@host:6379/1", "rediss://host:1/0?ssl_cert_reqs=required"])
def test_a_url_of_redis_is_read_by_our_transport(url):
    """No process reads messages through kombu's own."""
    from kombu import Connection

    from worker.broker.transport import Transport

    assert url == configuration(Settings(broker_url=url))["broker_url"]
    assert Transport is Connection(url).get_transport_cls()


def test_the_nightly_entry_can_be_switched_off():
    """An empty time means no nightly retraining."""
    assert {"sweep", "retrain nightly"} == set(beat_schedule(Settings()))
    assert {"sweep"} == set(beat_schedule(Settings(nightly_at="")))


def test_settings_print_secrets_as_stars():
    """Settings in a log do not reveal passwords."""
    settings = Settings(broker_url="redis://:hunter2@host/0", THORAQ_DATABASE_URL="postgresql://u:hunter2@host/x")

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


def test_an_unreachable_broker_is_returned_and_not_raised(monkeypatch, database):
    """The rows are committed; the sweeper sends another wake-up."""

    def out(*_arguments, **_options):
        raise OperationalError

    monkeypatch.setattr(app, "signature", lambda *_arguments, **_options: SimpleNamespace(apply_async=out))

    assert not wakeups.wake_scorers(1, 32)


def test_a_submission_sends_a_wakeup_a_batch_up_to_a_limit(monkeypatch):
    """Several workers may help; more than eight wake-ups would only fill the queue."""
    sent = []
    monkeypatch.setattr(wakeups, "_send", lambda *arguments: sent.append(arguments) or True)

    for images, expected in ((1, 1), (32, 1), (33, 2), (10_000, wakeups.MAX_WAKEUPS)):
        sent.clear()
        wakeups.wake_scorers(images, 32)
        assert expected == len(sent)


def test_settings_come_from_the_environment_then_from_the_data_directory(monkeypatch, tmp_path):
    """The demo writes this file for other commands."""
    from worker.settings import settings

    (tmp_path / "thoraq.env").write_text("THORAQ_BATCH_SIZE=7\nTHORAQ_SWEEP_SECONDS=3\n")
    monkeypatch.setenv("THORAQ_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("THORAQ_SWEEP_SECONDS", "5")
    settings.cache_clear()

    assert (7, 5, Path(tmp_path)) == (settings().batch_size, settings().sweep_seconds, settings().data_dir)
    settings.cache_clear()


def test_the_log_has_no_content_of_a_discarded_message(caplog):
    """Celery would print the body, which may identify a patient."""
    from celery.worker.consumer.consumer import UNKNOWN_TASK_ERROR

    from worker.telemetry.logs import _without_bodies

    logger = logging.getLogger("celery.worker.consumer.consumer")
    logger.addFilter(_without_bodies)
    logger.error(UNKNOWN_TASK_ERROR, "KeyError", "DOE^JOHN", {"kwargsrepr": "DOE^JOHN"}, {})
    logger.removeFilter(_without_bodies)

    assert "discarded" in caplog.text
    assert "DOE" not in caplog.text
