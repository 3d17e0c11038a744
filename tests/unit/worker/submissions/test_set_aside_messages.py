"""Messages that no process could run are stored once, bounded, and refused under their sender's key."""

import hashlib
import json

import pytest
from click.testing import CliRunner
from prometheus_client import REGISTRY
from sqlalchemy import func, select

from worker.broker.set_aside import Flaw, Place, SetAside
from worker.cli import InstalledCommands
from worker.database import reading
from worker.studies import outcomes
from worker.studies.records import Refusal
from worker.submissions import intake, set_aside_messages
from worker.submissions.records import SetAsideMessage

KEY = ("pacs", "r 7")


def count(table) -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_a_message_is_kept_with_its_hash_and_its_sender_learns_of_it(database):
    """The same record twice, as after a redelivery, is one."""
    counted = {"place": "intake", "flaw": "too_large"}
    before = REGISTRY.get_sample_value("thoraq_messages_set_aside_total", counted) or 0
    message = SetAside.of(b"\xff" * 20_000, "intake", Flaw.TOO_LARGE, KEY)
    set_aside_messages.store(message)
    set_aside_messages.store(message)

    with reading() as session:
        (one,) = set_aside_messages.listed(session, 9)
        (refused,) = outcomes.refusals(session, *KEY)
        assert b"\xff" * 16_384 == set_aside_messages.head(session, one.id)
        assert {("intake", "too_large"): 1} == set_aside_messages.counts(session)
    assert (hashlib.sha256(b"\xff" * 20_000).hexdigest(), 20_000) == (one.sha256, one.size)
    assert ("malformed", "the message has more bytes, values or levels than are read") == (refused.code, refused.detail)
    assert before + 1 == REGISTRY.get_sample_value("thoraq_messages_set_aside_total", counted)


@pytest.mark.parametrize(
    ("place", "key", "code"),
    [("score", (None, None), None), ("score", KEY, "unknown_task"), ("celery", (None, None), "unknown_task")],
)
def test_a_refusal_is_stored_where_a_sender_may_ask(database, place, key, code):
    """A wake-up has no sender."""
    set_aside_messages.store(SetAside.of(b"x", place, Flaw.UNKNOWN_TASK, key))

    with reading() as session:
        assert ([code] if code else []) == list(session.scalars(select(Refusal.code)))


def test_only_the_newest_messages_are_kept(database, monkeypatch):
    """A flood fills no disk."""
    monkeypatch.setattr(set_aside_messages, "KEPT", 5)
    for number in range(12):
        set_aside_messages.store(SetAside.of(b"%d" % number, "score", Flaw.NOT_JSON))

    assert 5 == count(SetAsideMessage)
    with reading() as session:
        newest = set_aside_messages.listed(session, 1)[0]
        assert b"11" == set_aside_messages.head(session, newest.id)


def test_a_fault_of_the_program_keeps_the_message_and_refuses_it(eager, monkeypatch):
    """Celery has acknowledged it by then: nobody else would have it."""
    from worker.tasks.intake import receive

    def fault(_message):
        raise ZeroDivisionError

    monkeypatch.setattr(intake, "parse", fault)
    envelope = {"source": "pacs", "request_id": "r 7"}
    with pytest.raises(ZeroDivisionError):
        receive.apply_async(kwargs={"request": envelope})
    # Where errors propagate, as in these tests, Celery does not call it.
    receive.on_failure(ZeroDivisionError(), "id", [], {"request": envelope}, None)

    with reading() as session:
        (one,) = set_aside_messages.listed(session, 9)
        (refused,) = outcomes.refusals(session, *KEY)
        assert envelope == json.loads(set_aside_messages.head(session, one.id))
    assert (Place.INTAKE, "fault", "fault") == (one.place, one.flaw, refused.code)


def test_the_command_lists_messages_and_writes_their_bytes(database, tmp_path):
    """An operator sees what was set aside, and can keep it."""
    set_aside_messages.store(SetAside.of(b"\x00\xff", "score", Flaw.NOT_JSON))

    def thoraq(*words):
        return CliRunner().invoke(InstalledCommands(), ["messages", *words])

    (one,) = json.loads(thoraq("list", "--json").stdout)
    assert ("score", "not_json", 2) == (one["place"], one["flaw"], one["size"])
    assert "not_json" in thoraq("list").stdout
    assert 0 == thoraq("show", str(one["id"]), "--out", str(tmp_path / "message")).exit_code
    assert b"\x00\xff" == (tmp_path / "message").read_bytes()
    assert 2 == thoraq("show", "999", "--out", str(tmp_path / "message")).exit_code
