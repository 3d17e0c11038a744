"""`thoraq demo`: starts everything, scores films, and serves the dashboard."""

import logging
import signal
import socket
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import click

from worker.commands.console import print_table
from worker.commands.submissions import films_under, show, wait_until_finished
from worker.database import reading
from worker.demo.deployment import ACCOUNT, PASSWORD, POLL_SECONDS, deployed, draw_training_set
from worker.demo.embedded_redis import free_port
from worker.demo.supervisor import Deployment
from worker.settings import data_dir, settings
from worker.studies import outcomes
from worker.studies.outcomes import Outcome
from worker.studies.records import Priority
from worker.submissions.intake import Acceptance, submit_files

DEFAULT_PORT = 8000
PHANTOMS_PER_FINDING = 6


@click.command()
@click.option("--images", type=click.Path(exists=True, path_type=Path), help="Films to score.  [default: phantoms]")
@click.option("--once", is_flag=True, help="Stop when all films are scored.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the dashboard.  [default: 8000, or a free one]")
def demo(images: Path | None, port: int | None, *, once: bool) -> None:
    """Run the whole product on this machine, score films, and show them.

    All data are in one data directory, which other commands use by default, during the demo and after it.

    Example: thoraq demo --images ../films --once
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    signal.signal(signal.SIGTERM, _interrupt)
    port = port or _default_port()
    click.echo("starting Redis, intake, worker, trainer, beat and dashboard", err=True)
    with deployed(phantoms=images is None, port=port) as deployment:
        films = films_under((images,)) if images else _phantom_films()
        acceptance = submit_files(
            ((name, path.read_bytes()) for name, path in films),
            source="demo", request_id=None, priority=Priority.ROUTINE,
        )  # fmt: skip
        wait_until_finished(acceptance, meanwhile=deployment.restart_dead)
        _report(acceptance)
        if once:
            return
        try:
            _stay(deployment, port)
        except KeyboardInterrupt:
            click.echo("stopping", err=True)


def _stay(deployment: Deployment, port: int) -> None:
    """Keep everything running until an interrupt; meanwhile draw the data set on which the demo retrains."""
    click.echo(f"\nThe dashboard: http://127.0.0.1:{port} (log in as {ACCOUNT} / {PASSWORD}). Ctrl-C stops everything.")
    training_set = data_dir() / "phantom-dataset"
    if not training_set.is_dir():
        click.echo("The data set for retraining is being drawn; that takes about 20 s.")
        deployment.children.append(draw_training_set(training_set))
    while True:
        deployment.restart_dead()
        time.sleep(POLL_SECONDS)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Stop in the same way as Ctrl-C, so that the children are stopped in order."""
    raise KeyboardInterrupt


def _default_port() -> int:
    """Return the default port, or a free one if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            return free_port()
    return DEFAULT_PORT


def _phantom_films() -> list[tuple[str, Path]]:
    """Draw a few phantoms of each finding and return (name, path)."""
    from worker.films.phantoms import write_films  # noqa: PLC0415 - SciPy is slow to import and not needed for given films

    directory = settings().data_dir / "phantoms"
    write_films(directory, PHANTOMS_PER_FINDING, seed=2024)
    return films_under((directory,))


def _report(acceptance: Acceptance) -> None:
    """Print the outcome of every film and, if folders are named by class, the accuracy."""
    with reading() as session:
        rows = list(outcomes.outcomes(session, acceptance.submission_id))
    show(rows)
    counts = Counter(item.outcome for item in rows)
    reasons = Counter(item.reason for item in rows if item.reason)
    click.echo(f"{counts['scored']} scored, {counts['rejected']} rejected {dict(reasons) or ''}".rstrip())
    _report_accuracy([item for item in rows if item.probabilities])


def _report_accuracy(scored: list[Outcome]) -> None:
    """Print the accuracy on the films whose folder has the name of one of the network's classes."""
    judged = [
        (folder, item.label)
        for item in scored
        if item.probabilities and (folder := Path(item.reference or "").parent.name) in item.probabilities
    ]
    if not judged:
        return
    classes = sorted({truth for truth, _ in judged})
    counts = Counter(judged)
    print_table(
        "predicted (rows) by folder (columns)",
        ("", *classes),
        [
            (label, *(counts[truth, label] for truth in classes))
            for label in sorted({str(p) for _, p in judged} | set(classes))
        ],
    )
    right = sum(truth == label for truth, label in judged)
    click.echo(f"accuracy {right / len(judged):.4f} ({right} of {len(judged)} films whose folder names their class)")
