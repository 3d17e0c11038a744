"""Measures scoring beside training: films per second while a retraining runs, and while none runs, in turns.

THORAQ_BROKER_URL and THORAQ_DATABASE_URL name a Redis and a database that nothing else uses, THORAQ_IMAGE_ROOTS has
the root `films`, and THORAQ_TRAINING_* says what is trained, with which niceness and threads.
Example: THORAQ_TRAINING_DATA=/tmp/set THORAQ_BROKER_URL=redis://127.0.0.1:6379/9 python benchmarks/undisturbed.py DIR
"""  # noqa: INP001 - a script, in no package

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import click
from alembic import command
from sqlalchemy import func, select
from system import finished, submit, wait_until

from model_training.settings import settings as training_settings
from worker.commands.db import alembic_config
from worker.database import now, reading, transaction
from worker.models import directory, registry, retraining_runs
from worker.models.documents.retraining import RunRequest
from worker.models.records import RetrainingRun
from worker.monitoring.records import Process
from worker.settings import settings
from worker.studies.records import Image, Study

#: More epochs than any measurement takes; the run is cancelled after the measurement.
EPOCHS = 100_000


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), default=directory.SHIPPED_PAPER)
@click.option("--pairs", default=3, show_default=True)
def main(folder: Path, model: Path, pairs: int) -> None:
    """Print both rates of each pair and the median ratio as JSON; the films are divided among the measurements."""
    command.upgrade(alembic_config(), "head")
    with transaction() as session:
        registry.activate(session, registry.import_model(session, model, settings().models_dir).version, by="bench")
    names = sorted(path.name for path in folder.iterdir())
    share = len(names) // (2 * pairs + 1)
    parts = [names[start * share : (start + 1) * share] for start in range(2 * pairs + 1)]
    processes = [_start("worker"), _start("trainer")]
    try:
        wait_until(_both_up, "worker and trainer")
        _rate(parts[0], "warm-up")
        pairs_of_rates = [_pair(parts[2 * pair + 1], parts[2 * pair + 2], pair) for pair in range(pairs)]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
    click.echo(json.dumps(_figures(pairs_of_rates, share)))


def _start(kind: str) -> subprocess.Popen[bytes]:
    command_line = [sys.executable, "-m", "worker", kind]
    return subprocess.Popen(command_line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - ours


def _pair(alone: list[str], beside: list[str], pair: int) -> dict[str, float]:
    undisturbed = _rate(alone, f"alone {pair}")
    run_id = retraining_runs.ask(by="bench", request=RunRequest(epochs=EPOCHS))
    wait_until(lambda: _epochs(run_id) > 0, "an epoch of the training")
    before, disturbed = _epochs(run_id), _rate(beside, f"beside {pair}")
    trained = _epochs(run_id) - before
    retraining_runs.cancel(run_id, by="bench")
    wait_until(lambda: _state(run_id) == "cancelled", "the training to stop")
    return {"alone": undisturbed, "beside_training": disturbed, "epochs_meanwhile": trained}


def _rate(names: list[str], request_id: str) -> float:
    submission = submit(names, request_id)
    accepted = now()
    wait_until(lambda: finished(submission), "the films")
    with reading() as session:
        last = session.scalar(select(func.max(Image.finished_at)).join(Study).where(Study.submission_id == submission))
    return len(names) / (last - accepted).total_seconds()


def _both_up() -> bool:
    with reading() as session:
        return {"worker", "trainer"} <= set(session.scalars(select(Process.kind)))


def _epochs(run_id: int) -> int:
    with reading() as session:
        return session.get_one(RetrainingRun, run_id).epochs_done


def _state(run_id: int) -> str:
    with reading() as session:
        return session.get_one(RetrainingRun, run_id).state


def _figures(pairs: list[dict[str, float]], films: int) -> dict[str, object]:
    training = training_settings()
    return {
        "films_per_measurement": films,
        "niceness": training.niceness,
        "threads": training.threads,
        "pairs": pairs,
        "ratio": median(pair["beside_training"] / pair["alone"] for pair in pairs),
    }


if __name__ == "__main__":
    main()
