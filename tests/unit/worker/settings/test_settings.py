"""The effect of each setting of the worker that no other test sets in its environment."""

import io
import urllib.request
from datetime import UTC, date, datetime, timedelta

import pytest
from conftest import forget_settings
from PIL import Image as Picture
from pydantic import ValidationError
from sqlalchemy import text, update

from worker import wakeups
from worker.celery_app import beat_schedule, configuration
from worker.commands import processes
from worker.database import reading, transaction
from worker.demo.embedded_redis import free_port
from worker.errors import Reason
from worker.films.phantoms import draw
from worker.settings import settings
from worker.storage import disk
from worker.studies import ledger, outcomes, worklist_order
from worker.studies.records import Image, Priority
from worker.submissions import intake
from worker.tasks.scoring import score

RECEIVED = datetime(2026, 11, 25, 9, tzinfo=UTC)


@pytest.fixture
def setting(data_dir, monkeypatch):
    """A function that sets an environment variable before the settings are read."""

    def set_variable(name, value):
        monkeypatch.setenv(f"THORAQ_{name}", value)
        settings.cache_clear()

    return set_variable


def submit():
    """Submit one phantom, and return the id of the submission."""
    buffer = io.BytesIO()
    Picture.fromarray(draw("Opacity", 1)).save(buffer, "PNG")
    films = [("film", buffer.getvalue())]
    return intake.submit_files(films, source="t", request_id=None, priority=Priority.ROUTINE).submission_id


@pytest.mark.parametrize(
    ("variable", "reason"), [("MAX_FILE_BYTES", Reason.TOO_MANY_BYTES), ("MAX_PIXELS", Reason.TOO_MANY_PIXELS)]
)
def test_a_film_over_a_limit_is_rejected(setting, eager, phantom_model, variable, reason):
    """The limits are THORAQ_MAX_FILE_BYTES and THORAQ_MAX_PIXELS."""
    setting(variable, "1000")

    submission = submit()

    with reading() as session:
        assert [reason] == [row.reason for row in outcomes.outcomes(session, submission)]


def test_a_film_that_crashed_as_often_as_allowed_is_not_tried_again(setting, eager, phantom_model, monkeypatch):
    """The number of attempts is THORAQ_MAX_ATTEMPTS."""
    setting("MAX_ATTEMPTS", "1")
    monkeypatch.setattr(wakeups, "wake_scorers", lambda *_: True)
    submission = submit()
    with transaction() as session:
        session.execute(update(Image).values(attempts=1))

    score.delay()

    with reading() as session:
        assert [Reason.CRASHED_THE_WORKER] == [row.reason for row in outcomes.outcomes(session, submission)]


def test_films_that_waited_too_long_are_claimed_by_the_configured_ages(setting, eager, phantom_model, monkeypatch):
    """THORAQ_MAX_WAIT_ROUTINE_SECONDS and THORAQ_MAX_WAIT_OFFPEAK_SECONDS are by priority."""
    setting("MAX_WAIT_ROUTINE_SECONDS", "60")
    setting("MAX_WAIT_OFFPEAK_SECONDS", "90")
    ages, claim = [], ledger.claim
    monkeypatch.setattr(
        ledger, "claim", lambda *args, **options: ages.append(options["max_wait"]) or claim(*args, **options)
    )

    submit()

    expected = {Priority.ROUTINE: timedelta(seconds=60), Priority.OFFPEAK: timedelta(seconds=90)}
    assert expected == ages[0]


def test_the_number_of_decoders_can_be_set(setting, monkeypatch):
    """THORAQ_DECODERS replaces one for each core."""
    from worker.scoring import scorer

    counts = []
    monkeypatch.setattr(scorer, "decoders", counts.append)
    setting("DECODERS", "3")

    scorer.Scorer(settings())

    assert [3] == counts


def test_a_child_serves_its_metrics_where_the_settings_say(setting):
    """THORAQ_METRICS_HOST is the address, THORAQ_METRICS_PORT the port."""
    port = free_port()
    setting("METRICS_HOST", "127.0.0.2")
    setting("METRICS_PORT", str(port))

    processes._begin_child()

    with urllib.request.urlopen(f"http://127.0.0.2:{port}/metrics", timeout=5) as answer:
        assert "thoraq_batch_films" in answer.read().decode()


def test_the_worklist_is_ordered_by_the_configured_weights(setting):
    """THORAQ_FINDING_WEIGHTS has weights by finding, THORAQ_OTHER_FINDING_WEIGHT is that of the others."""
    setting("FINDING_WEIGHTS", '{"Pneumonia": 0.1}')
    setting("OTHER_FINDING_WEIGHT", "0.4")

    assert 0.1 == pytest.approx(worklist_order.severity({"Pneumonia": 1.0, "Effusions": 0.0}))
    assert 0.4 == pytest.approx(worklist_order.severity({"Pneumonia": 0.0, "Effusions": 1.0}))


def test_no_study_waits_longer_than_the_configured_hours(setting):
    """THORAQ_LONGEST_WAIT_HOURS is the wait of a study without any finding."""
    setting("LONGEST_WAIT_HOURS", "8")

    due = worklist_order.due_at(RECEIVED, Priority.ROUTINE, {"No-Findings": 1.0})

    assert RECEIVED + timedelta(hours=8) == due


def test_the_nightly_retraining_begins_at_the_configured_local_time(setting):
    """THORAQ_NIGHTLY_AT is a time of THORAQ_TIMEZONE."""
    setting("NIGHTLY_AT", "03:45")
    setting("TIMEZONE", "Europe/Berlin")

    nightly = beat_schedule(settings())["retrain nightly"]["schedule"]

    assert ({3}, {45}) == (nightly.hour, nightly.minute)
    assert "Europe/Berlin" == configuration(settings())["timezone"]


def test_a_day_of_drift_monitoring_begins_at_local_midnight(setting):
    """Local means THORAQ_TIMEZONE."""
    from worker.monitoring import drift_by_day

    setting("TIMEZONE", "Europe/Berlin")

    start, end = drift_by_day._on(date(2026, 11, 25))

    assert datetime(2026, 11, 24, 23, tzinfo=UTC) == start
    assert datetime(2026, 11, 25, 23, tzinfo=UTC) == end


@pytest.mark.parametrize("name", ["what?", "100%41", "a b", "x;y", "ä#1"])
def test_the_database_is_in_the_data_directory_whatever_its_name(data_dir, monkeypatch, name):
    """Some characters have a meaning in URLs. Only the user may read the folder."""
    directory = data_dir.parent / name
    monkeypatch.setenv("THORAQ_DATA_DIR", str(directory))
    forget_settings()

    with transaction() as session:
        session.execute(text("CREATE TABLE here (id INTEGER)"))

    assert {data_dir.parent / name} == {file for file in data_dir.parent.iterdir() if file.is_dir()}
    assert (directory / "thoraq.db").stat().st_size > 0
    assert 0o700 == directory.stat().st_mode & 0o777


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_scheme_of_postgresql_means_the_installed_driver(setting, scheme):
    """Providers of databases give URLs that begin with `postgres://`."""
    setting("DATABASE_URL", f"{scheme}://u:secret@host/films?options=-csearch_path%3Dx")

    url = settings().database_url

    assert ("postgresql+psycopg", "films", "-csearch_path=x") == (url.drivername, url.database, url.query["options"])


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/x", "postgresql+psycopg2://u:secret@h/x", "secret", "", "postgres://u:secret@h:port/x"]
)
def test_another_database_or_driver_is_refused_in_one_line(setting, url):
    """The line has no password."""
    setting("DATABASE_URL", url)

    with pytest.raises(ValidationError) as caught:
        settings()

    assert "THORAQ_DATABASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_disk_with_less_free_space_than_set_counts_as_full(setting):
    """THORAQ_MIN_FREE_BYTES is compared with what the file system says."""
    setting("MIN_FREE_BYTES", str(2**62))

    assert "count as full" in disk.problem(settings().archive_dir, settings().min_free_bytes)
