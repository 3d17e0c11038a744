"""`thoraq rejections` and `thoraq cancel`: lists and replays rejected films, withdraws waiting ones."""

import getpass

import click

from worker import wakeups
from worker.commands.console import ROW_ID, database_errors, json_option, print_json, print_table
from worker.database import now, reading, transaction
from worker.errors import Reason
from worker.settings import settings
from worker.studies import outcomes
from worker.studies.rejected_films import RejectedFilm, Selection
from worker.studies.rejected_films import cancel as cancel_some
from worker.studies.rejected_films import rejections as find
from worker.studies.rejected_films import replay as replay_some

REASONS = click.Choice([reason.value for reason in Reason])


@click.group()
def rejections() -> None:
    """List rejected films, or try them again.

    Example: thoraq rejections list --reason corrupt
    """


@rejections.command(name="list")
@click.option("--reason", type=REASONS, help="Only films rejected for this reason.")
@click.option("--submission", help="Only films of this submission.")
@json_option
def list_(reason: str | None, submission: str | None, *, as_json: bool) -> None:
    """List the rejected films, oldest first.

    Example: thoraq rejections list --reason crashed_the_worker
    """
    selection = Selection(Reason(reason) if reason else None, submission)
    with database_errors(), reading() as session:
        films = list(find(session, selection))
    if as_json:
        print_json(films)
    else:
        _show(films)


def _show(films: list[RejectedFilm]) -> None:
    columns = ("image", "film", "reason", "detail", "attempts", "rejected")
    print_table(
        "rejected films",
        columns,
        [
            (film.image_id, film.reference, film.reason, film.detail, film.attempts,
             film.rejected_at.isoformat(timespec="seconds"))
            for film in films
        ],
    )  # fmt: skip


@rejections.command(name="replay")
@click.argument("image", required=False, type=ROW_ID)
@click.option("--reason", type=REASONS, help="All films rejected for this reason.")
@click.option("--submission", help="All films of this submission.")
@click.option("--all", "everything", is_flag=True, help="Every rejected film.")
@json_option
def replay(image: int | None, reason: str | None, submission: str | None, *, everything: bool, as_json: bool) -> None:
    """Try rejected films again, with a new series of attempts: one by its image number, or many by an option.

    The earlier rejection is kept. A film that crashed the worker is tried alone.

    Example: thoraq rejections replay --reason not_found
    """
    if not (image or reason or submission or everything):
        raise click.UsageError("give an image number, --reason, --submission or --all")
    selection = Selection(Reason(reason) if reason else None, submission, image, until=now())
    replayed = 0
    with database_errors():
        while count := _replay(selection):
            replayed += count
    if replayed:
        wakeups.wake_scorers(replayed, settings().batch_size)
    if as_json:
        print_json({"replayed": replayed})
    else:
        click.echo(f"{replayed} films wait again")


def _replay(selection: Selection) -> int:
    with transaction() as session:
        return replay_some(session, getpass.getuser(), selection)


@click.command()
@click.argument("submission")
@json_option
def cancel(submission: str, *, as_json: bool) -> None:
    """Withdraw the waiting films of a submission; they are rejected as `cancelled`.

    Example: thoraq cancel 5f0c7d1e9a3b4c5d8e7f6a5b4c3d2e1f
    """
    cancelled = 0
    with database_errors():
        with reading() as session:
            if not outcomes.exists(session, submission):
                raise click.UsageError(f"there is no submission {submission}")
        while count := _cancel(submission):
            cancelled += count
    if as_json:
        print_json({"cancelled": cancelled})
    else:
        click.echo(f"{cancelled} films were withdrawn")


def _cancel(submission_id: str) -> int:
    with transaction() as session:
        return cancel_some(session, submission_id, getpass.getuser())
