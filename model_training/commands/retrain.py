"""`thoraq retrain` asks for a run, `thoraq trainer` is the process that carries it out."""

import getpass
import time
from typing import Any

import click

from model_training.commands.progress import bars
from worker import retraining
from worker.celery_app import TRAIN_QUEUE
from worker.commands.console import database_errors, json_option, print_json
from worker.database import reading
from worker.run_records import RetrainingRun, RunState

#: How often the row of a run is looked at while waiting.
POLL_SECONDS = 1.0


@click.command()
@click.option("--wait", is_flag=True, help="Wait until the run is over; exit with 1 if it failed.")
@json_option
def retrain(*, wait: bool, as_json: bool) -> None:
    """Ask for a retraining run; where one is asked for or running already, that is the run.

    A run registers a candidate and promotes nothing.

    Example: thoraq retrain --wait
    """
    with database_errors():
        run_id = retraining.ask(by=getpass.getuser())
        run = _waited_for(run_id) if wait else _look_at(run_id)
    if as_json:
        print_json(run)
    else:
        click.echo(f"run {run['id']}: {run['state']}" + (f", {run['message']}" if run["message"] else ""))
    if run["state"] == RunState.FAILED:
        raise click.ClickException(f"run {run['id']} failed")


def _look_at(run_id: int) -> dict[str, Any]:
    """Return a run's row in its JSON form."""
    with reading() as session:
        run = session.get_one(RetrainingRun, run_id)
        return {
            "id": run.id,
            "state": run.state,
            "epochs_done": run.epochs_done,
            "epochs_planned": run.epochs_planned,
            "message": run.message,
            "candidate": run.candidate.version if run.candidate else None,
        }


def _waited_for(run_id: int) -> dict[str, Any]:
    with bars() as progress:
        bar = progress.add_task(f"run {run_id}", total=None, note="")
        while True:
            run = _look_at(run_id)
            progress.update(bar, completed=run["epochs_done"], total=run["epochs_planned"], note=run["state"])
            if run["state"] not in retraining.UNFINISHED:
                return run
            time.sleep(POLL_SECONDS)


@click.command()
def trainer() -> None:
    """Start the process that carries out retraining runs, one at a time.

    Example: thoraq trainer
    """
    from worker.commands.processes import run_celery_worker  # noqa: PLC0415 - Celery's worker is needed only here

    run_celery_worker([TRAIN_QUEUE], "trainer", ["model_training.tasks"])
