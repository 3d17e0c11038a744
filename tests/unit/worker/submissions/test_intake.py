"""Submissions are accepted whole or in part, once, and with reasons for refusals."""

import json

import pytest
from dicom_films import dicom_file
from sqlalchemy import func, select

from worker import wakeups
from worker.database import reading
from worker.errors import RefusedSubmission
from worker.films import archive
from worker.settings import settings
from worker.studies import outcomes
from worker.studies.records import Image, Priority, Refusal, Study, Submission
from worker.submissions import envelope as envelope_form
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
    """Two views of one study belong together; an item without a UID is a study by itself."""
    items = [
        {"image": {"path": "pa.png"}, "study_instance_uid": "1.2.3"},
        {"image": {"path": "ap.png"}, "study_instance_uid": "1.2.3"},
        {"image": {"path": "other.png"}},
    ]

    intake.accept(envelope(items=items, image=None))

    assert 2 == count(Study)
    assert 3 == count(Image)


def test_the_same_key_and_content_is_accepted_once(wakeups_sent):
    """A repeated request gets the first answer, even with another `requested_at`."""
    first = intake.accept(envelope(requested_at="2026-01-01T00:00:00Z"))
    second = intake.accept(envelope(requested_at="2026-01-01T00:00:05Z"))

    assert first.submission_id == second.submission_id
    assert second.repeated
    assert 1 == count(Image)
    assert [1] == wakeups_sent


def test_the_same_key_with_other_content_is_a_conflict(wakeups_sent):
    """A sender that reuses a key gets an error."""
    intake.accept(envelope())

    with pytest.raises(RefusedSubmission) as refused:
        intake.accept(envelope(image={"path": "b.png"}))

    assert "conflict" == refused.value.code


def test_an_invalid_item_does_not_affect_the_others(wakeups_sent):
    """Valid items are accepted; invalid ones are listed with their reasons."""
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
        ("invalid", envelope(later_field=json.loads("[" * 300 + "]" * 300))),
        ("invalid", "no object"),
        ("invalid", None),
        ("invalid", [1, 2]),
    ],
)
def test_a_message_that_cannot_be_accepted_is_stored_with_its_reason(wakeups_sent, code, message):
    """A message gets no answer, so the reason is stored, without values from the message."""
    intake.receive(message)

    with reading() as session:
        refusal = session.scalars(select(Refusal)).one()
    assert code == refusal.code
    assert "whenever" not in refusal.detail
    assert 0 == count(Submission)


@pytest.mark.parametrize(
    ("source", "request_id"), [("Köln", 'r"1\\'), ("nul\x00", "half\ud800"), ("s" * 65, "r" * 129)]
)
def test_a_refusal_is_found_by_the_key_that_its_message_has(wakeups_sent, source, request_id):
    """The key may have any characters; it may be the reason for the refusal."""
    intake.receive({"source": source, "request_id": request_id})

    with reading() as session:
        assert ["invalid"] == [refusal.code for refusal in outcomes.refusals(session, source, request_id)]


def test_fields_of_a_later_minor_version_are_stored_without_effect(wakeups_sent):
    """New fields do not break an older version."""
    intake.accept(envelope(schema_version="1.7", correlation_id="hl7-98231"))

    with reading() as session:
        assert {"correlation_id": "hl7-98231"} == session.scalars(select(Submission)).one().extra


def test_uploaded_files_are_archived_by_content(wakeups_sent):
    """The sender may delete the files after the answer."""
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


def named(name):
    return dicom_file(PatientName=name, PatientID=name, StudyDescription=f"chest of {name}")


def submit_named(name, request_id):
    return intake.submit_files([("a.dcm", named(name))], source="t", request_id=request_id, priority=Priority.ROUTINE)


def test_an_uploaded_dicom_file_is_stored_without_its_name(wakeups_sent):
    """The archive, like SQL, holds pseudonyms only, and the recorded SHA-256 is that of the stored film."""
    submit_named("Canarius", "1")

    stored = [path for path in settings().archive_dir.rglob("*") if path.is_file()]
    assert 1 == len(stored)
    assert b"Canarius" not in stored[0].read_bytes()
    with reading() as session:
        assert [stored[0].name] == list(session.scalars(select(Image.sha256)))


def test_a_repeated_upload_is_told_by_the_files_as_they_were_sent(wakeups_sent):
    """The key of a request means the sender's files; films that differ in a name alone are one content."""
    first = submit_named("Canarius", "1")

    assert (first.submission_id, True) == ((again := submit_named("Canarius", "1")).submission_id, again.repeated)
    with pytest.raises(RefusedSubmission, match="conflict"):
        submit_named("Other", "1")
    submit_named("Other", "2")
    with reading() as session:
        assert 1 == len(set(session.scalars(select(Image.sha256))))


def test_a_request_from_before_files_were_stripped_is_recognised(wakeups_sent):
    """The key of an earlier version named the same content by the same digest."""
    submit_named("Canarius", "1")

    path, sha256 = archive.place([named("Canarius")])
    image = {"root": "archive", "path": path, "sha256": sha256}
    message = {
        "schema": "cxr.score.request", "schema_version": "1.0", "source": "t", "request_id": "1",
        "priority": "routine", "items": [{"reference": "a.dcm", "image": image}],
    }  # fmt: skip
    with reading() as session:
        assert envelope_form.parse(message).digest() == session.scalar(select(Submission.content_sha256))


@pytest.mark.parametrize("character", ["\0", "\x1b", "\n", "\x9b", "\u202e", "\ud800"])
def test_control_characters_are_refused_in_an_envelope_and_replaced_in_a_file_name(wakeups_sent, character):
    """Databases, logs and terminals cannot handle all of them."""
    with pytest.raises(RefusedSubmission) as refused:
        intake.accept(envelope(source=f"pacs{character}north"))
    intake.receive(envelope(request_id=f"1{character}2"))
    intake.submit_files([(f"a{character}b.png", b"x")], source="test", request_id=None, priority=Priority.ROUTINE)

    assert "invalid" == refused.value.code
    assert 1 == count(Refusal)
    with reading() as session:
        assert ["a?b.png"] == list(session.scalars(select(Image.reference)))


def test_an_outage_of_the_database_is_waited_out_for_a_message_only(wakeups_sent, monkeypatch):
    """A page must answer soon, after a second try; nobody waits for the answer to a message."""
    from sqlalchemy.exc import OperationalError

    outages = [OperationalError("INSERT", {}, Exception("gone")) for _ in range(5)]
    insert = intake._insert

    def sometimes(*arguments):
        if outages:
            raise outages.pop()
        return insert(*arguments)

    monkeypatch.setattr(intake, "_insert", sometimes)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)

    with pytest.raises(OperationalError):
        intake.accept(envelope())
    assert 3 == len(outages)
    intake.receive(envelope())

    assert 1 == count(Image)


def test_a_message_with_other_arguments_is_stored_as_refused(wakeups_sent):
    """A sender can see that it used the wrong argument."""
    from worker.tasks.intake import receive

    receive.apply(kwargs={"envelope": envelope()})

    assert 1 == count(Refusal)


def test_a_message_returns_to_the_broker_when_the_database_fails(wakeups_sent, monkeypatch):
    """Tables or disk space may be missing; the broker keeps the message until they are there."""
    from celery.exceptions import Reject
    from sqlalchemy.exc import ProgrammingError

    from worker.tasks import intake as intake_tasks

    def broken(*_arguments):
        raise ProgrammingError("INSERT", {}, Exception("no such table"))

    monkeypatch.setattr(intake, "_insert", broken)
    monkeypatch.setattr(intake_tasks.time, "sleep", lambda _seconds: None)

    with pytest.raises(Reject) as rejected:
        intake_tasks.receive.run(envelope())

    assert rejected.value.requeue
