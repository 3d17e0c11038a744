"""Measures the obvious solution: one Celery task for each film with `load_img`, `model.predict` and a commit.

It has two prefork children, and uses THORAQ_BROKER_URL and THORAQ_DATABASE_URL.
Example: THORAQ_BROKER_URL=redis://127.0.0.1:6379/9 python benchmarks/plain_celery.py FOLDER --model worker/shipped/v3
"""  # noqa: INP001 - a script, in no package

import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from celery import Celery
from sqlalchemy import JSON, Float, String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Celery("plain_celery", broker=os.environ["THORAQ_BROKER_URL"])
app.conf.update(task_default_queue="plain", task_ignore_result=True, broker_connection_retry_on_startup=True)

CONCURRENCY = 2
TIMEOUT_SECONDS = 300


class Base(DeclarativeBase):
    """The base class of the one table."""


class Result(Base):
    """One film's prediction."""

    __tablename__ = "plain_results"

    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    label: Mapped[str] = mapped_column(String(64))
    probabilities: Mapped[Any] = mapped_column(JSON)
    finished_at: Mapped[float] = mapped_column(Float)


@cache
def engine() -> Any:  # noqa: ANN401
    """Return this process's engine."""
    return create_engine(os.environ["THORAQ_DATABASE_URL"])


@cache
def model() -> tuple[Any, dict[str, Any]]:
    """Return the network and its card, loaded on the first task."""
    import keras  # noqa: PLC0415

    directory = Path(os.environ["PLAIN_MODEL"])
    return keras.saving.load_model(directory / "model.keras", compile=False), json.loads(
        (directory / "card.json").read_bytes()
    )


@app.task(name="plain.score")
def score(path: str) -> None:
    """Score one film and commit its result."""
    import keras  # noqa: PLC0415

    network, card = model()
    image = keras.utils.load_img(path, color_mode="rgb", target_size=tuple(card["input_size"]))
    probabilities = network.predict(np.asarray(image, np.uint8)[None], verbose=0)[0].tolist()
    label = card["classes"][int(np.argmax(probabilities))]
    with Session(engine()) as session:
        session.merge(Result(path=path, label=label, probabilities=probabilities, finished_at=time.time()))
        session.commit()


def done() -> int:
    """Return how many films have a result."""
    with Session(engine()) as session:
        return session.scalar(select(func.count()).select_from(Result)) or 0


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--films", default=120, show_default=True, help="Films to score; it is slow, so a few are enough.")
def main(folder: Path, model: Path, films: int) -> None:
    """Print films per second as JSON; both children have scored before the clock starts."""
    Base.metadata.drop_all(engine())
    Base.metadata.create_all(engine())
    names = [str(path) for path in sorted(folder.iterdir())]
    warm, measured = names[:16], names[16 : 16 + films]
    command = ["celery", "-A", "plain_celery", "worker", "-P", "prefork", "-c", str(CONCURRENCY), "-Q", "plain"]
    worker = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", *command],
        cwd=Path(__file__).parent,
        env=os.environ | {"PLAIN_MODEL": str(model.resolve())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        send(warm, 0)
        started = time.time()
        send(measured, len(warm))
        with Session(engine()) as session:
            last = session.scalar(select(func.max(Result.finished_at))) or started
        click.echo(json.dumps({"films_per_second": len(measured) / (last - started)}))
    finally:
        worker.terminate()
        worker.wait(60)


def send(paths: list[str], before: int) -> None:
    """Send a task for each film and wait for the results."""
    for path in paths:
        score.delay(path)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while done() < before + len(paths):
        if time.monotonic() > deadline:
            raise click.ClickException(f"waited {TIMEOUT_SECONDS} s for {len(paths)} films")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
