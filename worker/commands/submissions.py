"""`thoraq submit`, `schema`, `status` and `results`."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

import click
from humanize import precisedelta

from worker import NOTICE
from worker.celery_app import broker_url
from worker.commands.console import database_errors, json_option, print_json, print_table, progress
from worker.database import reading
from worker.inputs.dicomdir import HEAD_BYTES, is_dicomdir
from worker.inputs.printable import SpreadsheetWriter, printable
from worker.settings import settings
from worker.studies import outcomes
from worker.studies.outcomes import Outcome, RefusedMessage, SubmissionStatus
from worker.studies.records import Priority
from worker.submissions.envelope import json_schema
from worker.submissions.intake import Acceptance, submit_files

POLL_SECONDS = 0.5


def films_under(paths: tuple[Path, ...]) -> list[tuple[str, Path]]:
    """Return (name, path) of each file in `paths` and below its folders, sorted; the name has the folders below.

    Within folders, hidden files and lists or notes (CSV, text) are left out, since they would only be rejected. So is
    the index of a patient CD, which is named on stderr.
    """
    films = []
    for path in paths:
        if not path.is_dir():
            films.append((_name(Path(path.name)), path))
            continue
        for found in sorted(path.rglob("*")):
            if not found.is_file() or found.name.startswith(".") or found.suffix.lower() in {".csv", ".txt"}:
                continue
            name = _name(found.relative_to(path))
            if is_dicomdir(_head(found)):
                click.echo(printable(f"passed over: {name}: a DICOMDIR, the index of a CD"), err=True)
            else:
                films.append((name, found))
    if not films:
        raise click.UsageError("there is no file to submit")
    return films


def _head(path: Path) -> bytes:
    """Return the first bytes of a file, none if it cannot be read, which is said when it is submitted."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _name(path: Path) -> str:
    """Return a path as text; names are UTF-8, whatever the terminal's encoding."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--priority", type=click.Choice(["urgent", "routine", "offpeak"]), default="routine", show_default=True)
@click.option("--source", default="command-line", show_default=True, help="Sender.")
@click.option("--request-id", help="Your key for this submission; a key with the same content is accepted once.")
@click.option("--study-uid", help="UID of the study of all films; without it, each film is a study by itself.")
@click.option("--accession", help="Accession number of the study.")
@click.option("--issuer", help="Issuer of the accession number.")
@click.option("--patient-key", help="Pseudonym of the patient; never a name or a birth date.")
@click.option("--callback", help="Configured endpoint to notify when all films are finished.")
@click.option("--wait", is_flag=True, help="Wait until every film has its outcome.")
@json_option
def submit(
    paths: tuple[Path, ...],
    *,
    priority: str,
    source: str,
    request_id: str | None,
    study_uid: str | None,
    accession: str | None,
    issuer: str | None,
    patient_key: str | None,
    callback: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Submit films for scoring: files, or all files in folders.

    The files are copied into the archive, so you may delete them afterwards. Prints the submission's id.

    Example: thoraq submit night-shift/ --priority urgent --wait
    """
    films = films_under(paths)
    identifiers = {
        "study_instance_uid": study_uid,
        "accession": {"number": accession, "issuer": issuer} if accession else None,
        "patient_key": patient_key,
    }
    broker_url(settings())  # Without a broker, fail before anything is accepted: no worker could be woken.
    with database_errors():
        acceptance = submit_files(
            _read(films),
            source=source,
            request_id=request_id,
            priority=Priority[priority.upper()],
            identifiers=[identifiers] * len(films),
            callback=callback,
        )
        if wait:
            wait_until_finished(acceptance)
    if as_json:
        print_json(acceptance)
    else:
        click.echo(acceptance.submission_id)
        for refused in acceptance.refused:
            click.echo(printable(f"refused: {refused.reference}: {refused.detail}"), err=True)


def _read(films: list[tuple[str, Path]]) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the name and the open file of each film; if one cannot be opened, nothing is submitted."""
    for name, path in films:
        try:
            file = path.open("rb")
        except OSError as error:
            raise click.UsageError(f"{path}: {error.strerror}; nothing was submitted") from error
        with file:
            yield name, file


def wait_until_finished(acceptance: Acceptance, meanwhile: Callable[[], None] = lambda: None) -> SubmissionStatus:
    """Show a progress bar until every film of a submission is scored or rejected; return its counts."""
    with progress("scoring", acceptance.accepted) as show:
        while True:
            with reading() as session:
                status = outcomes.submission_status(session, acceptance.submission_id)
            show(status.scored + status.rejected)
            if status.finished:
                return status
            meanwhile()
            time.sleep(POLL_SECONDS)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the envelope `cxr.score.request` 1.x, for senders to check theirs.

    Example: thoraq schema
    """
    print_json(json_schema())


@click.command()
@click.argument("submission", required=False)
@click.option("--source", help="With --request-id: the sender's key, instead of the submission's id.")
@click.option("--request-id", help="With --source.")
@json_option
def status(submission: str | None, source: str | None, request_id: str | None, *, as_json: bool) -> None:
    """Show the counts of a submission, or of the whole queue. If the message of a key was refused, show why.

    Example: thoraq status 5f0c7d1e9a3b4c5d8e7f6a5b4c3d2e1f --json
    """
    if bool(source) != bool(request_id):
        raise click.UsageError("--source and --request-id belong together")
    with database_errors(), reading() as session:
        if source and request_id:
            submission = outcomes.find(session, source, request_id)
            refused = outcomes.refusals(session, source, request_id)
            if submission is None:
                _show_refusals(refused, as_json=as_json)
                return
        _require(submission)
        status = outcomes.submission_status(session, submission)
    if as_json:
        print_json(status)
        return
    age = status.oldest_waiting_seconds
    print_table(
        f"submission {submission}" if submission else "all submissions",
        ("waiting", "scoring", "scored", "rejected", "refused", "oldest unfinished"),
        [(status.waiting, status.scoring, status.scored, status.rejected, status.refused,
          precisedelta(age, format="%.0f") if age is not None else "none")],
    )  # fmt: skip


def _show_refusals(refused: list[RefusedMessage], *, as_json: bool) -> None:
    if not refused:
        raise click.UsageError("nothing was submitted under this key")
    if as_json:
        print_json(list(refused))
        return
    rows = [(one.code, one.detail, one.refused_at.isoformat(timespec="seconds")) for one in refused]
    print_table("refused messages", ("code", "detail", "refused"), rows)


@click.command()
@click.argument("submission", required=False)
@click.option("--csv", "csv_file", type=click.File("w", encoding="utf-8"), help="Write CSV to a file, or - for stdout.")
@json_option
def results(submission: str | None, csv_file: TextIO | None, *, as_json: bool) -> None:
    """Show the predictions and rejections of one submission, or of all.

    Example: thoraq results 5f0c7d1e9a3b4c5d8e7f6a5b4c3d2e1f --csv results.csv
    """
    with database_errors(), reading() as session:
        _require(submission)
        rows = list(outcomes.outcomes(session, submission))
    if csv_file:
        write_csv(rows, csv_file)
    if as_json:
        print_json(rows)
    elif not csv_file:
        show(rows)


def _require(submission: str | None) -> None:
    with reading() as session:
        if submission and not outcomes.exists(session, submission):
            raise click.UsageError(f"there is no submission {submission}")


def show(rows: list[Outcome]) -> None:
    """Print the table of outcomes for a person."""
    print_table(
        f"predictions. {NOTICE}",
        ("film", "outcome", "finding", "probability", "reason", "model"),
        [
            (
                item.reference or f"image {item.image_id}",
                item.outcome,
                item.label,
                f"{item.probabilities[item.label]:.3f}" if item.probabilities and item.label else None,
                item.reason,
                f"{item.model_version} (phantoms)" if item.trained_on == "phantoms" else item.model_version,
            )
            for item in rows
        ],
    )


def write_csv(rows: list[Outcome], file: TextIO) -> None:
    """Write a row for each film, with a column for each finding."""
    findings = sorted({finding for item in rows for finding in item.probabilities or {}})
    fields = [name for name in Outcome.model_fields if name != "probabilities"]
    writer = SpreadsheetWriter(file)
    writer.write_row([*fields, *(f"probability {finding}" for finding in findings)])
    for item in rows:
        values = item.model_dump(mode="json")
        writer.write_row([*(values[name] for name in fields), *((item.probabilities or {}).get(f) for f in findings)])
