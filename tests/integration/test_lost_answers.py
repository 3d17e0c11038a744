"""The server commits and its answer is lost: whoever repeats the step finds what it did the first time."""

from datetime import timedelta

import pytest
from conftest import forget_settings
from sqlalchemy import func, select, update
from sqlalchemy.engine import make_url
from tcp_proxy import proxy_to

from worker.database import now, reading, through_outages, transaction
from worker.models import retraining_runs
from worker.models.records import RetrainingEvent, RetrainingRun
from worker.monitoring import heartbeats
from worker.monitoring.records import Process
from worker.scoring.batch_size import BatchSizer
from worker.scoring.batch_steps import BatchSteps
from worker.scoring.pipeline import Outcomes
from worker.settings import settings
from worker.studies import ledger
from worker.studies.claims import Scored
from worker.studies.records import Image, Prediction, Submission
from worker.submissions import intake

FILMS = 10


@pytest.fixture
def proxy(postgres_database, data_dir, monkeypatch):
    """The product's database, through a proxy, with its whole schema and an active model."""
    import migrations.schema  # noqa: F401
    from worker.database import Base, engine

    with proxy_to(make_url(postgres_database).port) as proxy:
        url = make_url(postgres_database).set(port=proxy.port)
        monkeypatch.setenv("THORAQ_DATABASE_URL", url.render_as_string(hide_password=False))
        monkeypatch.setenv("THORAQ_IMAGE_ROOTS", '{"images": "/nowhere"}')
        forget_settings()
        Base.metadata.create_all(engine())
        yield proxy
        forget_settings()


@pytest.fixture
def wakeups_sent(monkeypatch):
    """The wake-ups that were sent for scorers."""
    sent = []
    monkeypatch.setattr("worker.wakeups.wake_scorers", lambda images, _batch_size: sent.append(images))
    return sent


def envelope(request_id="night-1"):
    items = [{"image": {"root": "images", "path": f"{number}.png"}} for number in range(FILMS)]
    message = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs"}
    return message | {"request_id": request_id, "items": items}


def count(table) -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def steps() -> BatchSteps:
    """Return the steps of a worker that claims four films at a time; it decodes and predicts nothing."""
    return BatchSteps(settings(), None, None, BatchSizer(4, 4), None)


def attempts() -> list[int]:
    with reading() as session:
        return list(session.scalars(select(Image.attempts).order_by(Image.id)))


@pytest.mark.parametrize("lost", [1, 2])
def test_a_claim_is_found_by_the_worker_that_made_it(proxy, wakeups_sent, lost):
    """Nothing waits for the end of a lease, and each film is claimed once."""
    intake.accept(envelope())
    worker = steps()
    claimed = [film.image_id for film in worker.claim("task-1", others_in_flight=False).films]

    proxy.answers_to_lose = lost
    while films := worker.claim("task-1", others_in_flight=True).films:
        claimed += [film.image_id for film in films]

    assert lost == proxy.lost_answers
    with reading() as session:
        assert sorted(claimed) == list(session.scalars(select(Image.id).order_by(Image.id)))
    assert FILMS * [1] == attempts()


def test_a_film_that_must_be_alone_is_found_alone(proxy, wakeups_sent):
    """It was tried before."""
    intake.accept(envelope())
    with transaction() as session:
        session.execute(update(Image).values(attempts=1))
    proxy.answers_to_lose = 1

    (film,) = steps().claim("task-1", others_in_flight=False).films

    assert (1, 2) == (proxy.lost_answers, film.attempt)
    assert 1 == sum(number == 2 for number in attempts())


def test_another_task_does_not_find_it(proxy, wakeups_sent):
    """What a worker holds ends with its task."""
    intake.accept(envelope())
    worker = steps()
    proxy.answers_to_lose = 1
    first = {film.image_id for film in worker.claim("task-1", others_in_flight=False).films}

    second = {film.image_id for film in worker.claim("task-2", others_in_flight=False).films}

    assert (4, 4, set()) == (len(first), len(second), first & second)


def test_a_batch_is_recorded_once(proxy, wakeups_sent, phantom_version):
    """The repeated step finds that the films are no longer held."""
    intake.accept(envelope())
    worker = steps()
    films = worker.claim("task-1", others_in_flight=False).films
    scored = [Scored(film.image_id, f"{film.image_id:064}", {"Effusions": 0.5}) for film in films]
    proxy.answers_to_lose = 1

    worker.record("task-1", Outcomes(scored, [], [], [], phantom_version))

    assert (1, 4) == (proxy.lost_answers, count(Prediction))
    with reading() as session:
        assert 4 == session.scalar(select(func.count()).where(Image.state == "scored"))


@pytest.fixture
def phantom_version(proxy) -> int:
    """The id of the shipped network of the phantoms, which is active."""
    from worker.models import directory, registry

    with transaction() as session:
        row = registry.import_model(session, directory.SHIPPED_PHANTOMS, settings().models_dir)
        return row.id


def test_a_submission_is_answered_as_accepted(proxy, wakeups_sent):
    """Its sender hears of it, and scorers are woken."""
    proxy.answers_to_lose = 1

    acceptance = intake.accept(envelope())

    assert (1, 1, FILMS) == (proxy.lost_answers, count(Submission), count(Image))
    assert (False, FILMS, [FILMS]) == (acceptance.repeated, acceptance.accepted, wakeups_sent)


def test_a_message_is_accepted_once(proxy, wakeups_sent):
    """It has no sender who would repeat it."""
    proxy.answers_to_lose = 1

    intake.receive(envelope())

    assert (1, 1, [FILMS]) == (proxy.lost_answers, count(Submission), wakeups_sent)


def test_the_sender_may_repeat_what_failed_twice(proxy, wakeups_sent):
    """The key finds the submission."""
    proxy.answers_to_lose = 1
    first = intake.accept(envelope())

    again = intake.accept(envelope())

    assert (True, first.submission_id, 1) == (again.repeated, again.submission_id, count(Submission))


def test_a_trainer_keeps_the_run_that_it_started_and_ended(proxy, monkeypatch):
    """Otherwise the run would wait for its own silence, or its end would count as lost."""
    monkeypatch.setattr("worker.wakeups.wake_trainer", lambda _run_id: True)
    proxy.answers_to_lose = 1
    run_id = through_outages(retraining_runs.ask)("ann")  # As the nightly task asks.
    proxy.answers_to_lose = 1
    row = retraining_runs.start(run_id, "trainer-1")
    assert (run_id, 1) == (row.id, row.attempts)
    assert retraining_runs.start(run_id, "trainer-2") is None

    proxy.answers_to_lose = 1
    assert retraining_runs.fail(run_id, "trainer-1", "no film")

    assert 3 == proxy.lost_answers
    with reading() as session:
        assert "failed" == session.get_one(RetrainingRun, run_id).state
        texts = list(session.scalars(select(RetrainingEvent.text).order_by(RetrainingEvent.id)))
    assert ["asked for by ann", "taken up by a trainer", "failed: no film"] == texts


def test_a_sweep_refunds_an_outage_once(proxy, wakeups_sent, monkeypatch):
    """A film that has crashed its process twice keeps one of the two attempts, and is not tried for ever."""
    from worker.tasks import sweeper

    intake.accept(envelope())
    steps().claim("task-1", others_in_flight=False)
    heartbeats.record_heartbeat("intake-1@host", "intake", now())
    with transaction() as session:
        session.execute(update(Process).values(finished_at=now() - timedelta(hours=1)))
        session.execute(update(Image).where(Image.state == "scoring").values(attempts=3))
    proxy.answers_to_lose = 1

    sweeper.sweep()

    assert 1 == proxy.lost_answers
    assert {0, 2} == set(attempts())


def test_an_owner_that_stays_in_doubt_returns_what_it_never_heard_of(proxy, wakeups_sent):
    """A commit may become visible after the claim was repeated."""
    intake.accept(envelope())
    worker = steps()
    proxy.answers_to_lose = 1
    worker.claim("task-1", others_in_flight=False)
    assert worker.in_doubt()

    with transaction() as session:  # As the commit that came late.
        late = ledger.claim(session, "task-1", limit=2, lease_seconds=60, max_attempts=3)
    found = worker.claim("task-1", others_in_flight=True).films

    assert {film.image_id for film in late} == {film.image_id for film in found}
