"""The `thoraq` command as a script uses it."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from worker import cli
from worker.films.phantoms import write_films


@pytest.fixture
def thoraq(eager, phantom_model):
    """Run a subcommand; returns its result with stdout apart from stderr."""

    def run(*arguments):
        group = cli.InstalledCommands()
        return CliRunner().invoke(group, arguments)

    return run


@pytest.fixture
def films(tmp_path):
    write_films(tmp_path / "films", per_finding=1, seed=1)
    return tmp_path / "films"


def test_submit_status_and_results_agree(thoraq, films):
    """Each submitted film is counted and has a result; stdout has JSON and nothing else."""
    (films / "broken.png").write_bytes(b"broken")
    (films / "notes.txt").write_text("not a film")

    acceptance = json.loads(thoraq("submit", str(films), "--json").stdout)
    status = json.loads(thoraq("status", acceptance["submission_id"], "--json").stdout)
    results = json.loads(thoraq("results", acceptance["submission_id"], "--json").stdout)

    assert 5 == acceptance["accepted"]
    assert (4, 1, 0) == (status["scored"], status["rejected"], status["waiting"])
    assert "unsupported_format" == {row["reference"]: row["reason"] for row in results}["broken.png"]
    assert "Effusions/phantom-0000.png" in {row["reference"] for row in results}


def test_the_index_of_a_patient_cd_is_passed_over_and_named(thoraq, films):
    """Its name is not enough: any file may be called so."""
    head = bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\xc8\x00\x00\x00"
    index = head + b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10" + bytes(400)
    (films / "DICOMDIR").write_bytes(index)
    (films / "CD2").mkdir()
    (films / "CD2" / "DICOMDIR").write_text("no index")

    result = thoraq("submit", str(films), "--json")
    acceptance = json.loads(result.stdout)
    named = json.loads(thoraq("submit", str(films / "DICOMDIR"), "--json").stdout)
    (rejected,) = json.loads(thoraq("results", named["submission_id"], "--json").stdout)

    assert 5 == acceptance["accepted"]
    assert ["passed over: DICOMDIR: a DICOMDIR, the index of a CD"] == result.stderr.splitlines()
    assert "unsupported_format" == rejected["reason"]


def test_results_as_csv_hold_no_formula(thoraq, films):
    """The sender chooses the reference."""
    (films / "=1+1.png").write_text("no image")
    thoraq("submit", str(films), "--wait")

    rows = list(csv.DictReader(io.StringIO(thoraq("results", "--csv", "-").stdout)))

    assert "'=1+1.png" in {row["reference"] for row in rows}


def test_results_as_csv_have_one_row_a_film_and_one_column_a_finding(thoraq, films):
    """A spreadsheet can read it."""
    thoraq("submit", str(films))

    rows = list(csv.DictReader(io.StringIO(thoraq("results", "--csv", "-").stdout)))

    assert 4 == len(rows)
    assert all(0 <= float(row["probability Effusions"]) <= 1 for row in rows)


def test_a_request_id_is_accepted_once(thoraq, films):
    """A script that runs again does not submit its films again."""
    first = json.loads(thoraq("submit", str(films), "--request-id", "night-1", "--json").stdout)
    second = json.loads(thoraq("submit", str(films), "--request-id", "night-1", "--json").stdout)

    assert first["submission_id"] == second["submission_id"]
    assert second["repeated"]


def test_score_needs_no_queue_and_answers_for_every_file(thoraq, films):
    """The contract of `thoraq score --json`."""
    (films / "broken.png").write_bytes(b"broken")

    rows = json.loads(thoraq("score", str(films), "--json").stdout)

    assert [{"file", "outcome", "reason", "label", "probabilities"}] * 5 == [set(row) for row in rows]
    assert ["rejected", "scored", "scored", "scored", "scored"] == sorted(row["outcome"] for row in rows)


def test_models_are_listed_and_shown(thoraq, phantom_model):
    """The list marks the active version."""
    rows = json.loads(thoraq("models", "list", "--json").stdout)
    shown = json.loads(thoraq("models", "show", "active", "--json").stdout)

    assert [(phantom_model, True)] == [(row["version"], row["active"]) for row in rows]
    assert phantom_model == shown["card"]["version"]


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["status", "f" * 32], "there is no submission"),
        (2, ["submit", "/no/such/file"], "does not exist"),
        (2, ["submit"], "Missing argument"),
        (2, ["nonsense"], "No such command"),
        (2, ["models", "show", "nothing"], "there is no version"),
        (1, ["models", "promote", "nothing"], "no model version nothing"),
        (1, ["models", "rollback"], "no earlier version"),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(eager, phantom_model, capsys, monkeypatch, code, arguments, message):
    """The exit code is 2 for bad input and 1 for a failure; there is no traceback."""
    monkeypatch.setattr("sys.argv", ["thoraq", *arguments])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    output = capsys.readouterr()
    assert code == ended.value.code
    assert message in output.err
    assert 1 == len(output.err.strip().splitlines())
    assert output.out == ""


def test_a_database_without_a_schema_is_an_error_in_one_line(data_dir, capsys, monkeypatch):
    """The message says what a new installation needs."""
    monkeypatch.setattr("sys.argv", ["thoraq", "status"])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert 1 == ended.value.code
    assert "thoraq db upgrade" in capsys.readouterr().err


def test_a_submission_carries_identifiers_and_is_found_by_its_own_key(thoraq, films):
    """Results of a study have its identifiers; the sender's key finds the submission."""
    key = ("--source", "pacs", "--request-id", "r-1")

    accepted = json.loads(
        thoraq(
            "submit", str(films), *key, "--study-uid", "1.2.3", "--accession", "A1", "--issuer", "NORTH", "--json"
        ).stdout
    )  # fmt: skip
    status = json.loads(thoraq("status", *key, "--json").stdout)
    results = json.loads(thoraq("results", accepted["submission_id"], "--json").stdout)

    assert accepted["submission_id"] == status["submission_id"]
    assert {("1.2.3", "A1")} == {(row["study_instance_uid"], row["accession_number"]) for row in results}
    assert 1 == len({row["study_id"] for row in results})


def test_why_a_message_was_refused_can_be_asked_for_by_its_key(thoraq):
    """The sender of a message gets no answer."""
    from worker.submissions import intake

    intake.receive({"source": "pacs", "request_id": "r-1"})

    refused = json.loads(thoraq("status", "--source", "pacs", "--request-id", "r-1", "--json").stdout)

    assert ["invalid"] == [refusal["code"] for refusal in refused]
    assert 2 == thoraq("status", "--source", "pacs", "--request-id", "r-2").exit_code
    assert 2 == thoraq("status", "--source", "pacs").exit_code


@pytest.mark.parametrize(
    "command", [("rescore",), ("rejections", "replay"), ("explain", "--finding", "a", "--out", "b")]
)
def test_a_number_that_cannot_be_the_id_of_a_row_is_bad_input(thoraq, command):
    """SQLite's driver would raise an OverflowError for it."""
    done = thoraq(*command, "99999999999999999999")

    assert (2, True) == (done.exit_code, "is not in the range" in done.stderr)


def test_the_age_of_the_oldest_film_is_in_words(thoraq, films, monkeypatch):
    """Hours and minutes are easier to read than thousands of seconds."""
    from datetime import timedelta

    from sqlalchemy import update

    from worker import wakeups
    from worker.database import now, transaction
    from worker.studies.records import Image

    monkeypatch.setattr(wakeups, "wake_scorers", lambda *_: True)
    thoraq("submit", str(films))
    with transaction() as session:
        session.execute(update(Image).values(received_at=now() - timedelta(hours=2, minutes=5, seconds=1)))

    assert "2 hours, 5 minutes and" in " ".join(thoraq("status").stdout.split())
