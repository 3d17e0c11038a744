"""Accepting submissions."""

import pytest
from sqlalchemy import func, select

from worker import wakeups
from worker.database import reading
from worker.errors import RefusedSubmission
from worker.settings import settings
from worker.studies.records import Image, Priority, Refusal, Study, Submission
from worker.submissions import intake


@pytest.fixture
def wakeups_sent(database, monkeypatch, tmp_path):
    """The numbers of films for which intake woke scorers; also configures a root."""
    sent = []
    monkeypatch.setattr(wakeups, "wake_scorers", lambda images, _batch: sent.append(images) or True)
    monkeypatch.setenv("THORAQ_IMAGE_ROOTS", f'{{"images": "{tmp_path}"}}')
    settings.cache_clear()
    return sent


def envelope(**changes):
    return {
        "schema": "cxr.score.request",
        "schema_version": "1.0",
        "source": "pacs-north",
        "request_id": "r-1",
        "priority": "urgent",
        "study_instance_uid": "1.2.840.1",
        "image": {"path": "a.png"},
    } | changes


def count(table):
    with reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_a_single_image_envelope_becomes_a_waiting_image(wakeups_sent):
    """The rows are committed before the wake-up is sent."""
    acceptance = intake.accept(envelope())

    assert (1, [], False) == (acceptance.accepted, acceptance.refused, acceptance.repeated)
    with reading() as session:
        image = session.scalars(select(Image)).one()
    assert ("waiting", Priority.URGENT, "images", "a.png") == (image.state, image.priority, image.root, image.path)
    assert [1] == wakeups_sent


def test_items_with_one_study_uid_form_one_study(wakeups_sent):
    """Two views of one examination are answered together; a stranger is a study of its own."""
    items = [
        {"image": {"path": "pa.png"}, "study_instance_uid": "1.2.3"},
        {"image": {"path": "ap.png"}, "study_instance_uid": "1.2.3"},
        {"image": {"path": "other.png"}},
    ]

    intake.accept(envelope(items=items, image=None))

    assert 2 == count(Study)
    assert 3 == count(Image)


def test_the_same_key_and_content_is_accepted_once(wakeups_sent):
    """A repeat gets the first answer, though it was asked at another moment."""
    first = intake.accept(envelope(requested_at="2026-01-01T00:00:00Z"))
    second = intake.accept(envelope(requested_at="2026-01-01T00:00:05Z"))

    assert first.submission_id == second.submission_id
    assert second.repeated
    assert 1 == count(Image)
    assert [1] == wakeups_sent


def test_the_same_key_with_other_content_is_a_conflict(wakeups_sent):
    """A sender that reuses a key is told so."""
    intake.accept(envelope())

    with pytest.raises(RefusedSubmission) as refused:
        intake.accept(envelope(image={"path": "b.png"}))

    assert "conflict" == refused.value.code


def test_a_bad_item_harms_no_other(wakeups_sent):
    """The good items are accepted, the bad ones listed with their reasons."""
    items = [
        {"image": {"path": "good.png"}},
        {"image": {"path": "../../etc/passwd"}, "reference": "mine"},
        {"image": {"path": "a.png", "root": "nowhere"}},
        {"image": {"path": "a.png", "root": "archive"}},
        {"image": {"path": "a.png"}, "study_instance_uid": "not a uid"},
        {"no image": True},
    ]

    acceptance = intake.accept(envelope(items=items, image=None))

    assert 1 == acceptance.accepted
    assert [(1, "outside_root"), (2, "unknown_root"), (3, "unknown_root"), (4, "invalid"), (5, "invalid")] == [
        (refused.index, refused.reason) for refused in acceptance.refused
    ]
    assert "mine" == acceptance.refused[0].reference


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("unsupported_schema", envelope(schema_version="2.0")),
        ("invalid", envelope(schema="other")),
        ("invalid", envelope(priority="whenever")),
        ("invalid", envelope(items=[])),
        ("invalid", {key: value for key, value in envelope().items() if key != "source"}),
        ("invalid", envelope(later_field="\ud800")),
        ("invalid", envelope(later_field=float("nan"))),
        ("invalid", "no object"),
        ("invalid", None),
        ("invalid", [1, 2]),
    ],
)
def test_a_message_that_cannot_be_accepted_is_stored_with_its_reason(wakeups_sent, code, message):
    """Nobody waits for the answer of a message, so it is kept; and no value of it is repeated."""
    intake.receive(message)

    with reading() as session:
        refusal = session.scalars(select(Refusal)).one()
    assert code == refusal.code
    assert "whenever" not in refusal.detail
    assert 0 == count(Submission)


def test_fields_of_a_later_minor_version_are_kept_and_change_nothing(wakeups_sent):
    """Additions do not break an older reader."""
    intake.accept(envelope(schema_version="1.7", correlation_id="hl7-98231"))

    with reading() as session:
        assert {"correlation_id": "hl7-98231"} == session.scalars(select(Submission)).one().extra


def test_uploaded_files_are_archived_by_content(wakeups_sent):
    """The sender's copy may go once the answer is there."""
    acceptance = intake.submit_files(
        [("night/a.png", b"one"), ("night/b.png", b"one"), ("c.png", b"two")],
        source="test", request_id=None, priority=Priority.OFFPEAK,
    )  # fmt: skip

    assert 3 == acceptance.accepted
    assert 2 == len([path for path in settings().archive_dir.rglob("*") if path.is_file()])
    with reading() as session:
        assert ["night/a.png", "night/b.png", "c.png"] == list(
            session.scalars(select(Image.reference).order_by(Image.id))
        )


@pytest.mark.parametrize("character", ["\0", "\x1b", "\n", "\ud800"])
def test_control_characters_are_refused_in_an_envelope_and_replaced_in_a_file_name(wakeups_sent, character):
    """No character reaches the database, a log or a terminal that one of them would choke on."""
    with pytest.raises(RefusedSubmission) as refused:
        intake.accept(envelope(source=f"pacs{character}north"))
    intake.receive(envelope(request_id=f"1{character}2"))
    intake.submit_files([(f"a{character}b.png", b"x")], source="test", request_id=None, priority=Priority.ROUTINE)

    assert "invalid" == refused.value.code
    assert 1 == count(Refusal)
    with reading() as session:
        assert ["a?b.png"] == list(session.scalars(select(Image.reference)))


def test_an_outage_of_the_database_is_waited_out_for_a_message_only(wakeups_sent, monkeypatch):
    """A page must answer soon; a message has nobody who waits."""
    from sqlalchemy.exc import OperationalError

    outages = [OperationalError("INSERT", {}, Exception("gone")), OperationalError("INSERT", {}, Exception("gone"))]
    insert = intake._insert

    def sometimes(*arguments):
        if outages:
            raise outages.pop()
        return insert(*arguments)

    monkeypatch.setattr(intake, "_insert", sometimes)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)

    with pytest.raises(OperationalError):
        intake.accept(envelope())
    intake.receive(envelope())

    assert 1 == count(Image)


def test_a_message_with_other_arguments_is_kept_as_refused(wakeups_sent):
    """A sender that names the argument wrongly is told, too."""
    from worker.intake_tasks import receive

    receive.apply(kwargs={"envelope": envelope()})

    assert 1 == count(Refusal)


def test_a_message_that_the_database_cannot_take_goes_back_to_the_broker(wakeups_sent, monkeypatch):
    """Without tables, or without a disk: the broker keeps it until the database can."""
    from celery.exceptions import Reject
    from sqlalchemy.exc import ProgrammingError

    from worker import intake_tasks

    def broken(*_arguments):
        raise ProgrammingError("INSERT", {}, Exception("no such table"))

    monkeypatch.setattr(intake, "_insert", broken)
    monkeypatch.setattr(intake_tasks.time, "sleep", lambda _seconds: None)

    with pytest.raises(Reject) as rejected:
        intake_tasks.receive.run(envelope())

    assert rejected.value.requeue
