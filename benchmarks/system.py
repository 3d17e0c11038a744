"""Measures Thoraq itself with one worker: from the acceptance of all films to the last outcome in the database.

THORAQ_BROKER_URL and THORAQ_DATABASE_URL name a Redis and a database that nothing else uses, and THORAQ_IMAGE_ROOTS
has the folder of the films under the name `films`. `thoraq bench` sets all of these.
Example: python benchmarks/system.py FOLDER --model worker/shipped/v3
"""  # noqa: INP001 - a script, in no package

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click
from alembic import command
from sqlalchemy import func, select

from worker.commands.db import alembic_config
from worker.database import now, reading, transaction
from worker.models import registry
from worker.monitoring.records import Process
from worker.settings import settings
from worker.studies import outcomes
from worker.studies.records import Image, ImageState, Prediction, Study
from worker.submissions import intake

TIMEOUT_SECONDS = 300
#: Films that are scored before the measurement, so that batches have their full size and every shape is compiled.
WARM_UP = 200
#: The film check rejects a few real films; if it rejects more, the measurement is not valid.
MIN_SCORED_SHARE = 0.95


def wait_until(done: Callable[[], bool], what: str) -> None:
    """Check twice a second; twenty checks would cost a tenth of the rate. Give up after `TIMEOUT_SECONDS`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise click.ClickException(f"waited {TIMEOUT_SECONDS} s for {what}")
        time.sleep(0.5)


def submit(names: list[str], request_id: str) -> str:
    """Accept films below the named root as one submission, and return its id."""
    items = [{"image": {"root": "films", "path": name}, "reference": name} for name in names]
    message = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "bench", "request_id": request_id}
    return intake.accept({**message, "items": items}).submission_id


def finished(submission_id: str) -> bool:
    """Return whether every film of a submission has its outcome."""
    with reading() as session:
        return outcomes.submission_status(session, submission_id).finished


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
def main(folder: Path, model: Path) -> None:
    """Print films per second as JSON; the worker has scored films before the measurement starts."""
    command.upgrade(alembic_config(), "head")
    with transaction() as session:
        registry.activate(session, registry.import_model(session, model, settings().models_dir).version, by="bench")
    names = sorted(path.name for path in folder.iterdir())
    warm, measured = names[:WARM_UP], names[WARM_UP:]
    worker = subprocess.Popen(
        [sys.executable, "-m", "worker", "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(_is_up, "the worker")
        warmed = submit(warm, "warm-up")
        wait_until(lambda: finished(warmed), "the first films")
        started = now()
        submission = submit(measured, "measured")
        accepted = now()
        wait_until(lambda: finished(submission), "the films")
        click.echo(json.dumps(_figures(submission, len(measured), started, accepted)))
    finally:
        worker.terminate()
        worker.wait(60)


def _is_up() -> bool:
    with reading() as session:
        return session.scalar(select(Process.name).where(Process.kind == "worker")) is not None


def _figures(submission_id: str, films: int, started: datetime, accepted: datetime) -> dict[str, float]:
    with reading() as session:
        last, scored = session.execute(
            select(func.max(Image.finished_at), func.count().filter(Image.state == ImageState.SCORED))
            .join(Study)
            .where(Study.submission_id == submission_id)
        ).one()
        predictions = session.scalar(select(func.count()).select_from(Prediction))
    if scored < MIN_SCORED_SHARE * films:
        raise click.ClickException(f"{scored} of {films} films were scored")
    return {
        "films_per_second": films / (last - accepted).total_seconds(),
        "accept_seconds": (accepted - started).total_seconds(),
        "predictions": predictions,
    }


if __name__ == "__main__":
    main()
