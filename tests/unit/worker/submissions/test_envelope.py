"""The published schema agrees with what intake accepts."""

import json
import uuid

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from worker.commands.submissions import schema
from worker.errors import RefusedSubmission
from worker.settings import settings
from worker.submissions import intake
from worker.submissions.envelope import Envelope, json_schema, parse

IMAGE = {"path": "a.png"}
UID = "1.2.840.1"


def envelope(**changes):
    message = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": "r"} | changes
    return {name: value for name, value in message.items() if value != "absent"}


def accepted_whole(message) -> bool:
    """Return whether intake accepts a message with all its items."""
    try:
        acceptance = intake._insert(parse(message), frozenset({"images"}), "digest", uuid.uuid4().hex)
    except RefusedSubmission:
        return False
    return not acceptance.refused


@pytest.mark.parametrize(
    "message",
    [
        envelope(image=IMAGE),
        envelope(image=IMAGE, items=None),
        envelope(image=None, items=[{"image": IMAGE}]),
        envelope(items=[{"image": IMAGE, "study_instance_uid": UID, "accession": {"number": "A", "issuer": None}}]),
        envelope(items=[{"image": IMAGE}], study_instance_uid="beside a list, not read"),
        envelope(image=IMAGE, schema_version="1.12", later_field={"any": "thing"}),
        envelope(image={**IMAGE, "sha256": "0" * 64, "later": 1}, requested_at="2026-11-23T20:35:09Z"),
        envelope(image=IMAGE, priority="urgent", patient_key="h:9c1f", reference="", callback=None),
        envelope(),
        envelope(items=[]),
        envelope(items=[{}]),
        envelope(items=["text"]),
        envelope(items=[{"image": IMAGE}] * 10_001),
        envelope(image="a.png"),
        envelope(image={"path": ""}),
        envelope(image={"path": "a\x00b"}),
        envelope(image={**IMAGE, "sha256": "A" * 64}),
        envelope(image=IMAGE, schema="other"),
        envelope(image=IMAGE, schema_version="2.0"),
        envelope(image=IMAGE, schema_version="1"),
        envelope(image=IMAGE, schema_version=1.0),
        envelope(image=IMAGE, source="absent"),
        envelope(image=IMAGE, source=""),
        envelope(image=IMAGE, source="s" * 65),
        envelope(image=IMAGE, request_id=17),
        envelope(image=IMAGE, priority="now"),
        envelope(image=IMAGE, priority=None),
        envelope(image=IMAGE, requested_at=1_700_000_000),
        envelope(image=IMAGE, study_instance_uid="1.2." + "3" * 64),
        envelope(image=IMAGE, study_instance_uid="a.b"),
        envelope(image=IMAGE, accession="A123"),
        envelope(image=IMAGE, accession={"issuer": "NORTH"}),
        envelope(image=IMAGE, callback="ris"),
        envelope(image=IMAGE, callback={"endpoint": ""}),
        [],
        None,
        "text",
    ],
)
def test_the_schema_accepts_and_refuses_the_same_as_intake(database, message):
    """A sender can check its messages against the schema."""
    assert accepted_whole(message) == Draft202012Validator(json_schema()).is_valid(message)


def test_the_schema_has_every_field():
    """The command line prints the same schema."""
    published = json_schema()

    Draft202012Validator.check_schema(published)
    assert {field.alias or name for name, field in Envelope.model_fields.items()} == set(published["properties"])
    assert published == json.loads(CliRunner().invoke(schema).output)


def test_the_order_of_fields_and_null_fields_make_no_difference(database, monkeypatch, tmp_path):
    """A sender whose language does not keep the order of fields repeats a request without a conflict."""
    monkeypatch.setenv("THORAQ_IMAGE_ROOTS", f'{{"images": "{tmp_path}"}}')
    settings.cache_clear()
    monkeypatch.setattr("worker.wakeups.wake_scorers", lambda *_: True)
    item = {"image": {"root": "images", "path": "a.png"}, "reference": "A"}
    shuffled = {"reference": "A", "image": {"path": "a.png", "root": "images"}}

    first = intake.accept(envelope(items=[item], callback=None))
    second = intake.accept(dict(reversed(envelope(items=[shuffled]).items())))

    assert (first.submission_id, True) == (second.submission_id, second.repeated)
