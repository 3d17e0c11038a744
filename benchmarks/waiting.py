"""Measures how long films wait: one by one, urgent before a backlog, and after a start; and the memory of a worker.

THORAQ_BROKER_URL and THORAQ_DATABASE_URL name a Redis and a database that nothing else uses, and THORAQ_IMAGE_ROOTS
has the folder of the films under the name `films`, as for `system.py`.
Example: python benchmarks/waiting.py FOLDER --model worker/shipped/films
"""  # noqa: INP001 - a script, in no package

import itertools
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import psutil
from alembic import command
from sqlalchemy import select
from system import finished, wait_until

from worker.commands.db import alembic_config
from worker.database import reading, transaction
from worker.models import registry
from worker.settings import settings
from worker.studies.records import Image, Study
from worker.submissions import intake


def submit(names: list[str], priority: str = "routine") -> str:
    """Accept films as one submission and return its id."""
    message = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "bench", "priority": priority}
    items = [{"image": {"root": "films", "path": name}, "reference": name} for name in names]
    return intake.accept({**message, "request_id": secrets.token_hex(8), "items": items}).submission_id


def seconds_waited(submissions: list[str]) -> list[float]:
    """Return the seconds from each film's acceptance to its recorded outcome."""
    with reading() as session:
        rows = session.execute(
            select(Image.received_at, Image.finished_at).join(Study).where(Study.submission_id.in_(submissions))
        ).all()
    return [(last - first).total_seconds() for first, last in rows]


def trickle(names: list[str], per_second: float) -> list[str]:
    """Submit films one by one at a steady rate and return the submissions when all are finished."""
    submissions, began = [], time.monotonic()
    for number, name in enumerate(names):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        submissions.append(submit([name]))
    wait_until(lambda: finished(submissions[-1]), "the last film")
    for submission in submissions:
        wait_until(lambda submission=submission: finished(submission), "a film")
    return submissions


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--films", default=1000, show_default=True, help="Films that are submitted one by one.")
@click.option("--per-second", default=20.0, show_default=True)
@click.option("--backlog", default=10_000, show_default=True, help="Routine films before which urgent ones arrive.")
def main(folder: Path, model: Path, films: int, per_second: float, backlog: int) -> None:
    """Print seconds and bytes as JSON."""
    command.upgrade(alembic_config(), "head")
    with transaction() as session:
        registry.activate(session, registry.import_model(session, model, settings().models_dir).version, by="bench")
    names = itertools.cycle(sorted(path.name for path in folder.iterdir()))
    first = submit([next(names)])
    began = time.monotonic()
    worker = subprocess.Popen(
        [sys.executable, "-m", "worker", "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: finished(first), "the first film")
        figures = {"start_to_first_prediction_seconds": time.monotonic() - began}
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        figures["idle_memory_bytes"] = sum(process.memory_full_info().pss for process in family)
        trickle([next(names) for _ in range(20)], 4)
        waited = seconds_waited(trickle([next(names) for _ in range(films)], per_second))
        figures |= {f"trickle_p{percent}_seconds": float(np.percentile(waited, percent)) for percent in (50, 95, 100)}
        submit([next(names) for _ in range(backlog)])
        urgent = [_urgent_wait(next(names)) for _ in range(10)]
        figures |= {"urgent_median_seconds": float(np.median(urgent)), "urgent_longest_seconds": max(urgent)}
    finally:
        worker.terminate()
        worker.wait(60)
    click.echo(json.dumps({"films": films, "per_second": per_second, "backlog": backlog, **figures}))


def _urgent_wait(name: str) -> float:
    """Submit one urgent film while the backlog is scored, and return how long it waited in seconds."""
    time.sleep(1)
    submission = submit([name], priority="urgent")
    wait_until(lambda: finished(submission), "the urgent film")
    return seconds_waited([submission])[0]


if __name__ == "__main__":
    main()
