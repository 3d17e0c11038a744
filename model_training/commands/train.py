"""`thoraq train`: train one network in this process."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

from model_training.candidate import Recipe, build
from model_training.commands.progress import TrainingBars
from model_training.commands.tables import print_evaluation
from model_training.data.class_folders import DatasetError
from model_training.networks.catalogue import NETWORKS
from worker.commands.console import json_option, print_json
from worker.models.directory import read_report
from worker.models.documents.card import ModelCard
from worker.settings import settings
from worker.storage import atomic_files


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--network", required=True, type=click.Choice(list(NETWORKS)))
@click.option("--epochs", type=click.IntRange(min=1), help="Default: the network's.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The model directory to write. Default: candidates/<version> in the data directory.",
)
@click.option(
    "--external",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Films of other hospitals in class folders; they are evaluated and never trained on.",
)
@click.option(
    "--schedule",
    type=click.Choice(["constant", "cosine"]),
    help="Schedule of the learning rate. Default: the network's.",
)
@click.option(
    "--patience", type=click.IntRange(min=1), help="Stop after this many epochs without improvement on validation."
)
@json_option
def train(
    *,
    data: Path,
    network: str,
    epochs: int | None,
    seed: int,
    out: Path | None,
    external: Path | None,
    schedule: str | None,
    patience: int | None,
    as_json: bool,
) -> None:
    """Train one network on DATA.

    DATA is a folder of train, validation and test, each with a folder per class; or a manifest; or class folders,
    which are then split by patient.

    Writes the network, its card, its report and its figures, and promotes nothing. If a run was killed, the same
    command continues it after its last finished epoch.

    Example: thoraq train --data films --network v3 --seed 0 --out candidate
    """
    options = {"schedule": schedule, "patience": patience}
    changes = {name: value for name, value in options.items() if value is not None}
    with _claimed(out) if out else nullcontext():
        directory, card = _train(Recipe(data, network, epochs, seed, external, changes), out)
    report = read_report(directory)
    if as_json:
        print_json({**report.stored(), "directory": str(directory)})
        return
    for limit in card.limits:
        click.echo(f"- {limit}")
    print_evaluation(report.tested, f"{card.version} on the test split")
    click.echo(str(directory))


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Make the directory and hold it, so that a second training to it is refused before it learns.

    The system releases the lock when the process ends in any way.
    """
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise click.BadParameter(f"another training writes to {out}", param_hint="--out") from error
        if any(out.iterdir()):
            raise click.BadParameter(f"{out} is not empty", param_hint="--out")
        try:
            yield
        finally:
            if new and not any(out.iterdir()):
                out.rmdir()
    finally:
        os.close(descriptor)


def _train(recipe: Recipe, out: Path | None) -> tuple[Path, ModelCard]:
    """Train in a temporary directory, so that a directory with a candidate's name is complete."""
    candidates = settings().data_dir / "candidates"
    parent = out.resolve().parent if out else candidates
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".candidate-", dir=parent) as scratch:
        unfinished = Path(scratch) / "unfinished"
        try:
            with TrainingBars() as progress:
                card = build(recipe, unfinished, progress)
        except DatasetError as error:
            raise click.BadParameter(str(error), param_hint="--data") from error
        except FloatingPointError as error:
            raise click.ClickException(str(error)) from error
        target = out or candidates / card.version
        if out is None and target.exists():  # An earlier training made the same network: this report replaces that one.
            target.rename(Path(scratch) / "earlier")
        atomic_files.rename_directory(unfinished, target)
    return target, card
