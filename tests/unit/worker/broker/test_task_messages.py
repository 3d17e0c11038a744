"""A message is read strictly and written anew; whatever is wrong with it, its sender's key is found if it has one."""

import base64
import json
import uuid
import zlib
from datetime import UTC, datetime

import pytest
from kombu.transport.virtual import Channel

from worker.broker import task_messages
from worker.broker.frames import MAX_BODY_BYTES, MalformedMessage
from worker.broker.set_aside import Flaw, SetAside
from worker.broker.task_messages import TaskMessage, aside, read

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ID = str(uuid.uuid4())
TASKS = {"cxr.score.v1", "thoraq.sweep", "thoraq.detail", "thoraq.retrain", "thoraq.set_aside"}
ENVELOPE = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": "r 7"}
HEADERS = {
    "lang": "py", "task": "cxr.score.v1", "id": ID, "shadow": None, "eta": None, "expires": None, "group": None,
    "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": ID, "parent_id": None, "argsrepr": "()",
    "kwargsrepr": "{}", "origin": "gen1@pacs", "ignore_result": False, "replaced_task_nesting": 0,
    "stamped_headers": None, "stamps": {},
}  # fmt: skip
GZIP = {"compression": "application/x-gzip"}
BODY = [[], {"request": ENVELOPE}, {}]
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def encoded(body: object) -> str:
    return base64.b64encode(body if isinstance(body, bytes) else json.dumps(body).encode()).decode()


def frame(body: object = None, headers: object = HEADERS, properties: dict | None = None, **changed) -> bytes:
    """Return a message as Celery writes it, with some parts changed."""
    body = [[], {"request": ENVELOPE}, EMBED] if body is None else body
    properties = {"body_encoding": "base64", "delivery_tag": ID, "priority": 0, "delivery_info": {}} | (
        properties or {}
    )
    whole = {"body": encoded(body), "content-encoding": "utf-8", "content-type": "application/json"}
    return json.dumps(whole | {"headers": headers, "properties": properties} | changed).encode()


def with_text(text: str, **properties) -> bytes:
    """Return a message whose body is this text as it stands."""
    whole = json.loads(frame())
    return json.dumps(whole | {"body": text, "properties": whole["properties"] | properties}).encode()


def flaw_of(message: bytes) -> tuple[Flaw, tuple]:
    with pytest.raises(MalformedMessage) as caught:
        read(message, TASKS, NOW)
    return caught.value.flaw, caught.value.key


@pytest.mark.parametrize(
    "message",
    [
        frame(),
        frame([[ENVELOPE], {}, None]),
        frame(properties={"body_encoding": "base64", "priority": 99, "reply_to": "x", "delivery_mode": 2}),
        frame(headers={"task": "cxr.score.v1", "id": ID, "get": "not ours", "expires": "2026-11-30T00:00:00"}),
        with_text(json.dumps(BODY), body_encoding="utf-8"),
        with_text("\n".join(encoded(BODY)[at : at + 60] for at in range(0, 600, 60))),
        frame(zlib.compress(json.dumps(BODY).encode()), HEADERS | GZIP),
        # The first protocol of Celery, which clients in other languages speak.
        frame({"task": "cxr.score.v1", "id": ID, "args": [ENVELOPE], "kwargs": {}, "retries": 0, "eta": None}, {}),
        frame({"task": "cxr.score.v1", "id": ID, "args": None, "kwargs": {"request": ENVELOPE}}, None),
    ],
)  # fmt: skip
def test_what_a_client_of_celery_sends_is_read(message):
    """Both protocols, both encodings, compressed or not, with headers that nobody knows."""
    found = read(message, TASKS, NOW)

    assert ("cxr.score.v1", ID, {"request": ENVELOPE}) == (found.task, found.task_id, found.arguments)
    assert 0 <= found.priority <= 9


def test_what_is_written_has_nothing_of_the_sender_but_task_and_arguments():
    """No header by which a sender could have other tasks run, put off, limited or revoked; a tag of its own."""
    hostile = HEADERS | {
        "timelimit": [0.001, 0.001],
        "eta": "2099-01-01T00:00:00",
        "shadow": "DOE^JOHN",
        "stamps": {"a": 1},
    }
    message = frame([[], {"request": ENVELOPE, "more": 1}, {"callbacks": [{"task": "x"}]}], hostile)

    once, again = (json.loads(read(message, TASKS, NOW).write("celery")) for _ in range(2))

    assert {"lang", "task", "id", "root_id"} == set(once["headers"])
    assert [[], {"request": ENVELOPE}, {}] == json.loads(base64.b64decode(once["body"]))
    assert {"exchange": "", "routing_key": "celery"} == once["properties"]["delivery_info"]
    assert once["properties"]["delivery_tag"] != again["properties"]["delivery_tag"]
    assert Channel.Message(once, channel=Channel.__new__(Channel)).payload == [[], {"request": ENVELOPE}, {}]


def test_what_is_written_is_read_again():
    """A message that nobody acknowledged returns to its queue as it was written, with its id."""
    written = read(frame(), TASKS, NOW).write("intake")

    assert read(frame(), TASKS, NOW) == read(written, TASKS, NOW)


def test_a_task_id_that_is_no_uuid_is_replaced():
    """It stands in logs and in a short column."""
    found = read(frame(headers=HEADERS | {"id": "DOE^JOHN " * 50}), TASKS, NOW)

    assert uuid.UUID(found.task_id)


KEY, UNKNOWN = ("pacs", "r 7"), (None, None)
FOR_SWEEP = HEADERS | {"task": "thoraq.sweep"}
FOR_PICTURE = HEADERS | {"task": "thoraq.detail"}
FOR_RUN = HEADERS | {"task": "thoraq.retrain"}
FOR_ASIDE = HEADERS | {"task": "thoraq.set_aside"}
DATE = {"at": {"__type__": "date", "__value__": 5}}
deep = json.dumps(ENVELOPE)[:-1] + ', "x": ' + "[" * 300 + "]" * 300 + "}"
FLAWED = {
    "a number": (frame(5), Flaw.NOT_A_TASK, UNKNOWN),
    "null": (b"null", Flaw.NOT_A_TASK, UNKNOWN),
    "no object": (b"[1]", Flaw.NOT_A_TASK, UNKNOWN),
    "no bytes": (b"", Flaw.NOT_JSON, UNKNOWN),
    "not UTF-8": (b'{"body": "\xff"}', Flaw.NOT_JSON, UNKNOWN),
    "body not UTF-8": (frame(b"\xff"), Flaw.NOT_JSON, UNKNOWN),
    "UTF-16": (frame().decode().encode("utf-16"), Flaw.NOT_JSON, UNKNOWN),
    "cut": (frame()[:-9], Flaw.NOT_JSON, UNKNOWN),
    "no properties": (json.dumps({"body": encoded(BODY)}).encode(), Flaw.NOT_A_TASK, KEY),
    "time limit": (frame(headers=HEADERS | {"timelimit": 5}), Flaw.NOT_A_TASK, KEY),
    "three time limits": (frame(headers=HEADERS | {"timelimit": [1, 2, 3]}), Flaw.NOT_A_TASK, KEY),
    "id is a list": (frame(headers=HEADERS | {"id": []}), Flaw.NOT_A_TASK, KEY),
    "task is a list": (frame(headers=HEADERS | {"task": ["cxr.score.v1"]}), Flaw.NOT_A_TASK, KEY),
    "no id": (frame(headers={"task": "cxr.score.v1"}), Flaw.NOT_A_TASK, KEY),
    "no headers": (frame(headers=None), Flaw.NOT_A_TASK, KEY),
    "half a surrogate": (frame(headers=HEADERS | {"task": "\ud800"}), Flaw.NOT_JSON, KEY),
    "kwargs is a list": (frame([[ENVELOPE], [], {}]), Flaw.NOT_A_TASK, KEY),
    "expires is no moment": (frame(headers=HEADERS | {"expires": "soon"}), Flaw.NOT_A_TASK, KEY),
    "expires overflows": (frame(headers=HEADERS | {"expires": "0001-01-01T00:00:00+23:59"}), Flaw.NOT_A_TASK, KEY),
    "expired": (frame(headers=HEADERS | {"expires": "2026-11-28T00:00:00"}), Flaw.EXPIRED, KEY),
    "another task": (frame(headers=HEADERS | {"task": "cxr.score.v7"}), Flaw.UNKNOWN_TASK, KEY),
    "a task of Celery's": (frame(headers=HEADERS | {"task": "celery.chord_unlock"}), Flaw.UNKNOWN_TASK, KEY),
    "two envelopes": (frame([[ENVELOPE], {"request": ENVELOPE}, {}]), Flaw.WRONG_ARGUMENTS, KEY),
    "base64": (with_text("%%" + encoded(BODY)), Flaw.UNREADABLE_BODY, KEY),
    "pickle": (frame(**{"content-type": "application/x-python-serialize"}), Flaw.UNREADABLE_BODY, KEY),
    "encoding": (frame(properties={"body_encoding": "rot13"}), Flaw.UNREADABLE_BODY, KEY),
    "compression": (frame(headers=HEADERS | {"compression": "x"}), Flaw.UNREADABLE_BODY, KEY),
    "a bomb": (frame(zlib.compress(b" " * 10**8), HEADERS | GZIP), Flaw.TOO_LARGE, UNKNOWN),
    "deep headers": (frame().replace(b'"retries": 0', b'"retries": ' + b"[" * 900 + b"]" * 900), Flaw.TOO_LARGE, KEY),
    "deep body": (frame(f'[[], {{"request": {deep}}}, {{}}]'.encode()), Flaw.TOO_LARGE, KEY),
    "deep and endless": (frame(b"[" * 100_000), Flaw.TOO_LARGE, UNKNOWN),
    "a date of kombu's": (frame([[], {"request": ENVELOPE | DATE}, {}]), Flaw.TYPED_VALUE, KEY),
    "positional": (frame([[1], {}, {}], FOR_SWEEP), Flaw.WRONG_ARGUMENTS, UNKNOWN),
    "a name too many": (frame([[], {"a": 1}, {}], FOR_SWEEP), Flaw.WRONG_ARGUMENTS, UNKNOWN),
    "no row": (frame([[], {"image_id": 2**31}, {}], FOR_PICTURE), Flaw.WRONG_ARGUMENTS, UNKNOWN),
    "no number": (frame([[], {"run_id": "1"}, {}], FOR_RUN), Flaw.WRONG_ARGUMENTS, UNKNOWN),
    "forged": (frame([[], {"message": {}}, {}], FOR_ASIDE), Flaw.WRONG_ARGUMENTS, UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize("case", FLAWED)
def test_what_no_process_can_run_has_a_flaw_and_the_key_of_its_sender(case):
    """Each of these once ended a process, was lost in silence, or ran what its sender wanted."""
    message, flaw, key = FLAWED[case]

    assert (flaw, key) == flaw_of(message)


def test_a_message_over_the_limit_is_not_parsed(monkeypatch):
    """Its size is enough to know."""
    monkeypatch.setattr(task_messages, "MAX_MESSAGE_BYTES", 100)

    assert (Flaw.TOO_LARGE, UNKNOWN) == flaw_of(b"x" * 101)


def test_a_night_of_a_large_department_is_read_in_less_than_a_few_seconds():
    """10,000 items with every field: the largest envelope that intake accepts stays far below the limits."""
    item = {
        "image": {"root": "images", "path": "2026/11/23/" + "x" * 60, "sha256": "0" * 64}, "patient_key": "h:9c1f",
        "study_instance_uid": "1" * 64, "series_instance_uid": "1" * 64, "sop_instance_uid": "1" * 64,
        "accession": {"number": "A" * 16, "issuer": "NORTH"}, "reference": "x" * 60,
    }  # fmt: skip
    message = frame([[], {"request": ENVELOPE | {"items": [item] * 10_000}}, EMBED])

    found = read(message, TASKS, NOW)

    assert 10_000 == len(found.arguments["request"]["items"])
    assert len(message) < MAX_BODY_BYTES


def test_what_was_set_aside_travels_as_a_message():
    """The intake process reads it as any other."""
    message = SetAside.of(b"\xff" * 100_000, "score", Flaw.NOT_JSON, ("pa\x1bcs \ud800", None))

    found = read(aside(message).write("intake"), TASKS, NOW)

    assert isinstance(found, TaskMessage)
    again = SetAside.model_validate(found.arguments["message"])
    assert message == again
    assert ("pa?cs ?", 100_000, b"\xff" * 16_384) == (again.source, again.size, again.head_bytes())
