"""Rejected films: listed and replayed; and waiting films, cancelled."""

import json

import pytest
from cards import card
from click.testing import CliRunner
from sqlalchemy import select

from worker import wakeups
from worker.commands.rejections import cancel, rejections
from worker.database import now, reading, transaction
from worker.errors import Reason
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.studies import ledger, rejected_films
from worker.studies.claims import Rejected, Scored
from worker.studies.records import Image, Priority, Rejection, Study
from worker.studies.rejected_films import Selection
from worker.submissions import intake

LIMITS = {"lease_seconds": 60, "max_attempts": 3}


@pytest.fixture
def wakeups_sent(database, monkeypatch):
    """The numbers of films for which scorers were woken."""
    sent = []
    monkeypatch.setattr(wakeups, "wake_scorers", lambda images, _batch: sent.append(images) or True)
    return sent


@pytest.fixture
def rejected(wakeups_sent):
    """Four films: 1 and 2 corrupt, 3 killed its process thrice, 4 scored; returns the submission's id."""
    acceptance = intake.submit_files(
        [(f"{n}.png", bytes([n])) for n in range(1, 5)],
        source="t", request_id=None, priority=Priority.ROUTINE,
    )  # fmt: skip
    wakeups_sent.clear()
    with transaction() as session:
        session.add(ModelVersion(id=1, version="m-1", sha256="0" * 64, card=card(trained_on="films"), report=Report()))
        session.flush()
        ledger.claim(session, "a", limit=9, **LIMITS)
        outcomes = [Rejected(n, None, Reason.CORRUPT, "damaged") for n in (1, 2)]
        ledger.record(session, "a", [*outcomes, Scored(4, "4" * 64, {"Effusions": 1.0})], 1)
    for _ in range(3):
        with transaction() as session:
            ledger.reclaim(session, "a")
        claim()
    return acceptance.submission_id


def claim(limit=9):
    with transaction() as session:
        return [claimed.image_id for claimed in ledger.claim(session, "a", limit=limit, **LIMITS)]


def replay(**selection):
    with transaction() as session:
        return rejected_films.replay(session, "ada", Selection(**selection))


def run(command, *arguments):
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.output


def test_rejections_are_listed_with_reason_attempts_and_the_senders_reference(rejected):
    """All of them, or those with one reason."""
    films = json.loads(run(rejections, "list", "--json"))
    poison = json.loads(run(rejections, "list", "--reason", "crashed_the_worker", "--json"))

    assert [(1, "corrupt", 1), (2, "corrupt", 1), (3, "crashed_the_worker", 3)] == [
        (film["image_id"], film["reason"], film["attempts"]) for film in films
    ]
    assert [("3.png", rejected)] == [(film["reference"], film["submission_id"]) for film in poison]


@pytest.mark.parametrize(
    ("arguments", "replayed"),
    [(["1"], [1]), (["4"], []), (["--reason", "corrupt"], [1, 2]), (["--reason", "blank"], []), (["--all"], [1, 2, 3])],
)
def test_one_film_all_of_a_reason_or_all_can_be_replayed(rejected, wakeups_sent, arguments, replayed):
    """Scored films are never replayed; scorers are woken for the number of replayed films."""
    run(rejections, "replay", *arguments)

    with reading() as session:
        assert replayed == list(session.scalars(select(Image.id).where(Image.state == "waiting").order_by(Image.id)))
    assert ([len(replayed)] if replayed else []) == wakeups_sent


def test_a_replay_without_a_choice_is_refused(rejected):
    """Nobody replays every film by mistake."""
    assert 2 == CliRunner().invoke(rejections, ["replay"]).exit_code


def test_a_replay_starts_a_new_series_of_attempts_and_keeps_the_old_rejection(rejected):
    """The old rejection stays in its row, with the name of who replayed it."""
    assert 2 == replay(reason=Reason.CORRUPT)
    assert [1, 2] == claim()
    with transaction() as session:
        ledger.record(session, "a", [Scored(1, "1" * 64, {"Effusions": 1.0}), Rejected(2, None, Reason.BLANK, "b")], 1)

    with reading() as session:
        rows = session.execute(
            select(Rejection.image_id, Rejection.reason, Rejection.replayed_by).order_by(Rejection.id)
        )
        assert [(1, "corrupt", "ada"), (2, "corrupt", "ada"), (3, "crashed_the_worker", None), (2, "blank", None)] == [
            tuple(row) for row in rows
        ]
        assert "blank" == session.get_one(Image, 2).rejection.reason
        assert (1, None) == (session.get_one(Image, 1).attempts, session.get_one(Image, 1).rejection)


def test_a_study_waits_again_while_its_film_is_replayed(rejected):
    """Lists and callbacks wait for the film."""
    replay(image_id=1)

    with reading() as session:
        study = session.get_one(Study, session.get_one(Image, 1).study_id)
        assert ("waiting", None) == (study.state, study.finished_at)


def test_a_film_that_killed_its_process_is_replayed_alone(rejected):
    """It cannot take the films of a batch with it."""
    replay()

    assert [1, 2] == claim()
    with transaction() as session:
        ledger.record(session, "a", [Rejected(n, None, Reason.CORRUPT, "damaged") for n in (1, 2)], 1)
    assert [3] == claim()


def test_a_replay_skips_films_that_were_rejected_after_it_began(rejected):
    """A film that is rejected again meanwhile is not replayed again."""
    began = now()
    replay(reason=Reason.CORRUPT, until=began)
    claim()
    with transaction() as session:
        ledger.record(session, "a", [Rejected(n, None, Reason.CORRUPT, "damaged") for n in (1, 2)], 1)

    assert 0 == replay(reason=Reason.CORRUPT, until=began)


def test_cancel_rejects_waiting_films_and_lets_others_finish(wakeups_sent):
    """Cancelled films can be replayed like any rejected film."""
    acceptance = intake.submit_files(
        [(f"{n}.png", bytes([n])) for n in (1, 2, 3)],
        source="t", request_id=None, priority=Priority.ROUTINE,
    )  # fmt: skip
    assert [1] == claim(1)

    assert {"cancelled": 2} == json.loads(run(cancel, acceptance.submission_id, "--json"))

    with reading() as session:
        states = dict(session.execute(select(Image.id, Image.state)).all())
        assert {1: "scoring", 2: "rejected", 3: "rejected"} == states
        assert {"cancelled"} == set(session.scalars(select(Rejection.reason)))
    assert 2 == replay(reason=Reason.CANCELLED)


def test_an_unknown_submission_cannot_be_cancelled(wakeups_sent):
    """A wrong id is a usage error."""
    assert 2 == CliRunner().invoke(cancel, ["0" * 32]).exit_code
