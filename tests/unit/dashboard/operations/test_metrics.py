"""`/metrics`: it has its own token, and reads SQL without scanning the finished films."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, select, update

from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker import wakeups
from worker.broker.set_aside import Flaw, SetAside
from worker.database import engine, now, transaction
from worker.monitoring.records import Process
from worker.studies.records import Image, Rejection
from worker.submissions import set_aside_messages

TOKEN = {"Authorization": "Bearer let me see"}


@pytest.fixture
def monitor(database):
    """A client of a dashboard that has a token for monitors."""
    return create_app(DashboardSettings(mode="test", secure_cookies=False, metrics_token="let me see")).test_client()


def figures(monitor) -> dict:
    """Return every sample: (name, then its labels' values in the order of their names) -> value."""
    answer = monitor.get("/metrics", headers=TOKEN)
    assert 200 == answer.status_code
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_without_a_token_configured_there_are_no_metrics(client):
    """They are off by default."""
    assert 404 == client.get("/metrics").status_code


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic bGV0IG1lIHNlZTo="}]
)
def test_who_carries_another_token_sees_nothing(monitor, headers):
    """The answer says that a bearer token is expected."""
    answer = monitor.get("/metrics", headers=headers)

    assert 401 == answer.status_code
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert "thoraq_" not in answer.text


def test_films_are_counted_by_state_and_priority(monitor, rows, scores):
    """Waiting films, the age of the oldest one, and recently finished films with the reasons of rejections."""
    model = rows.model()
    rows.study(None, None, scores(Effusions=0.9), "corrupt", model=model)
    with transaction() as session:
        session.execute(update(Image).where(Image.state == "waiting").values(received_at=now() - timedelta(seconds=90)))

    samples = figures(monitor)

    assert 2 == samples["thoraq_queue_films", "routine", "waiting"]
    assert 0 == samples["thoraq_queue_films", "urgent", "waiting"]
    assert 0 == samples["thoraq_queue_films", "routine", "scoring"]
    assert 90 <= samples["thoraq_oldest_waiting_seconds",] < 100
    assert 1 == samples["thoraq_finished_films_5m", "", "scored"]
    assert 1 == samples["thoraq_finished_films_5m", "corrupt", "rejected"]
    assert 1 == samples["thoraq_active_model_info", "films", "v3-0123456789ab"]


def test_a_film_that_was_scored_after_a_replay_counts_once_as_scored(monitor, rows, scores):
    """The rejections that its replays have ended do not count."""
    rows.study(scores(Effusions=0.9), model=rows.model())
    with transaction() as session:
        film = session.scalars(select(Image)).one()
        for reason in ("corrupt", "crashed_the_worker"):
            session.add(Rejection(image_id=film.id, reason=reason, detail="", replayed_at=now(), replayed_by="ann"))

    finished = {key[1:]: n for key, n in figures(monitor).items() if key[0] == "thoraq_finished_films_5m"}

    assert {("", "scored"): 1} == finished


def test_processes_are_counted_by_kind_and_status(monitor, rows):
    """Stalled workers and the last sweep have their own metrics."""
    rows.process()
    rows.process(seen_seconds_ago=40, kind="intake", name="intake-1@host")
    with transaction() as session:
        stalled = now() - timedelta(seconds=500)
        session.execute(update(Process).where(Process.kind == "worker").values(work_waits_since=stalled))

    samples = figures(monitor)

    # The values come in the order of the labels' names: kind, the deprecated `life`, status.
    assert 1 == samples["thoraq_processes", "worker", "up", "up"]
    assert 1 == samples["thoraq_processes", "intake", "unknown", "unknown"]
    assert 1 == samples["thoraq_stalled_workers",]
    assert 40 <= samples["thoraq_last_sweep_seconds",] < 50


def test_wakeups_that_this_process_sent_are_counted_under_the_old_name_too(monitor, monkeypatch):
    """The old name stays for one version."""
    monkeypatch.setattr("celery.canvas.Signature.apply_async", lambda *_a, **_k: None)
    before = figures(monitor).get(("thoraq_wakeups_total", "true", "thoraq.score"), 0)

    wakeups.wake_scorers(1, 32)

    after = figures(monitor)
    assert before + 1 == after["thoraq_wakeups_total", "true", "thoraq.score"]
    assert before + 1 == after["thoraq_bells_total", "true", "thoraq.score"]


def test_no_query_scans_the_finished_films(monitor, rows, scores):
    """Every query on images goes through an index; a scan of a million rows would block the scrape."""
    statements = []

    @event.listens_for(engine(), "before_cursor_execute")
    def note(_connection, _cursor, statement, parameters, *_rest):
        statements.append((statement, parameters))

    figures(monitor)
    event.remove(engine(), "before_cursor_execute", note)

    queries = [(s, p) for s, p in statements if "FROM images" in s]
    assert len(queries) >= 5
    if engine().dialect.name == "sqlite":
        with engine().connect() as connection:
            for statement, parameters in queries:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                assert not [row for row in plan if row[3].startswith("SCAN images")], statement


def test_the_last_day_is_exported_beside_the_reference_by_source(monitor, monitored_day):
    """A drift alarm is counted."""
    samples = figures(monitor)

    version = "v3-0123456789ab"
    assert 40 == samples["thoraq_drift_films", "pacs-north", "scored", version]
    assert 40 == samples["thoraq_watched_films", "pacs-north", "scored", version]
    # Labels come in the order of their names: figure, of, source, version.
    assert 150.0 == samples["thoraq_drift_mean", "grey_mean", "day", "pacs-north", version]
    assert 100.0 == samples["thoraq_drift_mean", "grey_mean", "reference", "pacs-north", version]
    assert 1.0 == samples["thoraq_drift_share", "Effusions", "day", "pacs-north", version]
    assert {"grey_mean"} == {name for name in ("grey_mean", "classes") if samples["thoraq_drift_alarms", name]}


def test_messages_that_were_set_aside_are_counted_by_their_flaw(monitor):
    """An alarm can look at them."""
    for _ in range(2):
        set_aside_messages.store(SetAside.of(b"x", "score", Flaw.NOT_JSON))

    assert 2 == figures(monitor)["thoraq_set_aside_messages", "not_json", "score"]
