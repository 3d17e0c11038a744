"""`thoraq exports` shows what is owed to archives, and has it sent again or not at all."""

import json

import pytest
from click.testing import CliRunner
from owed_results import add_part, all_exports, pauses, variables
from reported import identity
from sqlalchemy import update

from worker import wakeups
from worker.cli import InstalledCommands
from worker.database import now, transaction
from worker.hospital import exports
from worker.hospital.export_records import Export
from worker.hospital.object_header import StoredObject
from worker.hospital.verdicts import SENT, of_rejection, of_status
from worker.settings import settings


@pytest.fixture
def owed(database, tmp_path, monkeypatch):
    """Two exports to one destination: the first was refused, and the destination rests."""
    monkeypatch.setattr(wakeups, "wake_scorers", lambda *_: True)
    pacs = {"kind": "dicom", "host": "127.0.0.1", "called": "PACS1", "objects": ["sr"]}
    for name, value in variables(tmp_path, {"pacs": pacs}).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    add_part()
    add_part(identity(study_instance_uid=b"1.2.4"))
    answer(1, of_status(0xC000))
    answer(2, of_rejection(1, 1, 7))


def answer(export_id, verdict, sent=None):
    with transaction() as session:
        exports.claim(session, export_id)
        exports.record(session, export_id, verdict, sent)


def thoraq(*arguments):
    return CliRunner().invoke(InstalledCommands(), ["exports", *arguments])


def listed(*arguments):
    return json.loads(thoraq("list", "--json", *arguments).stdout)


def states():
    return [row.state for row in all_exports()]


def test_the_list_has_each_export_and_the_destinations_that_rest(owed):
    """An administrator sees the code and whether the set-up is wrong."""
    found = listed()

    assert [("refused", "C000", 1), ("owed", "rejected_1_1_7", 0)] == [
        (row["state"], row["trouble"], row["attempts"]) for row in found["exports"]
    ]
    assert [("pacs", True)] == [(row["destination"], row["misconfigured"]) for row in found["resting"]]
    text = thoraq("list").stdout
    assert "C000" in text
    assert "set-up" in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [(["--state", "refused"], [1]), (["--state", "owed"], [2]), (["--state", "sent"], []), (["--part", "2"], [2]),
     (["--destination", "other"], [])],
)  # fmt: skip
def test_the_list_is_filtered(owed, options, expected):
    """By state, part or destination."""
    assert expected == [row["export_id"] for row in listed(*options)["exports"]]


@pytest.mark.parametrize("options", [["1"], ["--destination", "pacs"]])
def test_a_refused_export_is_tried_again_at_once(owed, options):
    """With a new series of attempts, and its destination no longer rests."""
    done = thoraq("replay", *options, "--json")

    assert {"exports": 1} == json.loads(done.stdout)
    assert (["owed", "owed"], 0, {}) == (states(), all_exports()[0].attempts, pauses())


def test_a_sent_export_is_replaced_and_not_repeated(owed):
    """A person asks for the part, and gets a new object."""
    answer_sent()

    assert 2 == thoraq("replay", "1").exit_code
    assert "1 exports are tried again" in thoraq("replay", "--part", "1").stdout

    assert [1, 1, 2] == sorted(row.number for row in all_exports())
    assert 1 == all_exports()[-1].replaces_id


def answer_sent():
    with transaction() as session:
        session.execute(update(Export).where(Export.id == 1).values(refused_at=None, next_at=now()))
    answer(1, SENT, StoredObject("1.2", "1.3", "1.4"))


def test_what_is_owed_is_cancelled(owed):
    """What was refused before stays refused."""
    done = thoraq("cancel", "--destination", "pacs")

    assert "1 exports are cancelled" in done.stdout
    assert ["refused", "cancelled"] == states()
    assert "1 exports" in thoraq("replay", "2").stdout
    assert ["refused", "owed"] == states()


@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["replay", "1", "--part", "1"], ["replay", "99"], ["replay", "--part", "99"], ["cancel"],
     ["cancel", "1", "--destination", "pacs"], ["cancel", "99"]],
)  # fmt: skip
def test_an_unclear_or_unknown_choice_is_bad_input(owed, arguments):
    """Nothing changes."""
    assert 2 == thoraq(*arguments).exit_code
    assert ["refused", "owed"] == states()


@pytest.mark.parametrize("missing", ["THORAQ_DESTINATIONS", "THORAQ_IDENTITY_KEY", "THORAQ_IDENTITY_CERTIFICATE"])
def test_a_sender_without_its_settings_does_not_start(owed, missing, monkeypatch):
    """It says which one is missing."""
    monkeypatch.setenv("THORAQ_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.delenv("THORAQ_DOORS")
    monkeypatch.delenv(missing)
    settings.cache_clear()

    done = CliRunner().invoke(InstalledCommands(), ["sender"])

    assert missing in str(done.exception)
