"""`thoraq retrain` requests a retraining run; `thoraq trainer` is the process that carries it out."""

import getpass
import time
from pathlib import Path
from typing import Any

import click

from model_training.commands.progress import bars
from model_training.networks.catalogue import NETWORKS
from worker.celery_app import TRAIN_QUEUE
from worker.commands.console import database_errors, json_option, print_json
from worker.database import reading
from worker.models import retraining_runs
from worker.models.documents.retraining import RunRequest
from worker.models.records import RetrainingRun, RunState

#: Time between two looks at the run while waiting.
POLL_SECONDS = 1.0


@click.command()
@click.option("--wait", is_flag=True, help="Wait until the run has ended; exit with 1 if it failed.")
@click.option("--data", type=click.Path(path_type=Path), help="Default: THORAQ_TRAINING_DATA of the trainer.")
@click.option("--network", type=click.Choice(list(NETWORKS)), help="Default: THORAQ_TRAINING_NETWORK.")
@click.option("--epochs", type=click.IntRange(min=1), help="Default: THORAQ_TRAINING_EPOCHS, or the network's own.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Default: THORAQ_TRAINING_SEED.")
@click.option("--cancel", is_flag=True, help="Stop the unfinished run instead.")
@json_option
def retrain(
    *,
    wait: bool,
    data: Path | None,
    network: str | None,
    epochs: int | None,
    seed: int | None,
    cancel: bool,
    as_json: bool,
) -> None:
    """Request a retraining run. If one is already requested or running, no second one starts.

    A run registers a candidate, which the gate judges. The candidate is promoted only if
    THORAQ_TRAINING_AUTOMATIC_PROMOTION is set.

    Example: thoraq retrain --wait
    """
    with database_errors():
        if cancel:
            run_id = _cancel_newest()
        else:
            request = RunRequest(data=str(data.resolve()) if data else None, network=network, epochs=epochs, seed=seed)
            run_id = retraining_runs.ask(by=getpass.getuser(), request=request)
        run = _wait_for(run_id) if wait else _read_run(run_id)
    if as_json:
        print_json(run)
    else:
        click.echo(f"run {run['id']}: {run['state']}" + (f", {run['message']}" if run["message"] else ""))
    if run["state"] == RunState.FAILED:
        raise click.ClickException(f"run {run['id']} failed")


def _cancel_newest() -> int:
    with reading() as session:
        newest = retraining_runs.recent(session, 1)
    if not newest or not retraining_runs.cancel(newest[0].id, getpass.getuser()):
        raise click.ClickException("no run is requested or running")
    return newest[0].id


def _read_run(run_id: int) -> dict[str, Any]:
    """Return a run's row as JSON."""
    with reading() as session:
        run = session.get_one(RetrainingRun, run_id)
        return {
            "id": run.id,
            "state": run.state,
            "epochs_done": run.epochs_done,
            "epochs_planned": run.epochs_planned,
            "loss": run.loss,
            "validation_loss": run.validation_loss,
            "expected_at": run.expected_at.isoformat() if run.expected_at else None,
            "message": run.message,
            "candidate": run.candidate.version if run.candidate else None,
            "learned_from": run.learned_from.stored() if run.learned_from else None,
            "log": [f"{event.at.isoformat(timespec='seconds')} {event.text}" for event in run.events],
        }


def _wait_for(run_id: int) -> dict[str, Any]:
    with bars() as progress:
        bar = progress.add_task(f"run {run_id}", total=None, note="")
        while True:
            run = _read_run(run_id)
            progress.update(bar, completed=run["epochs_done"], total=run["epochs_planned"], note=run["state"])
            if run["state"] not in retraining_runs.UNFINISHED:
                return run
            time.sleep(POLL_SECONDS)


@click.command()
def trainer() -> None:
    """Start the process that carries out retraining runs, one at a time.

    Example: thoraq trainer
    """
    from worker.commands.processes import run_celery_worker  # noqa: PLC0415 - Celery's worker is needed only here

    run_celery_worker([TRAIN_QUEUE], "trainer", ["model_training.tasks"])
