"""`thoraq evaluate`: what a model is worth on labelled films."""

import json
from pathlib import Path
from typing import Any

import click

from model_training import evaluation
from model_training.commands.progress import bars
from model_training.commands.tables import print_evaluation
from model_training.films import DatasetError, read_labelled, reasons_of
from worker.classifier import Classifier
from worker.commands.console import print_json
from worker.commands.model_choice import model_option, resolve


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@model_option
@click.option("--json", "json_path", metavar="FILE", help="Write the evaluation as JSON; - is stdout.")
def evaluate(*, data: Path, model: str, json_path: str | None) -> None:
    """Evaluate a model on a folder of class folders, or on its split test where it has one.

    Example: thoraq evaluate --data films --json evaluation.json
    """
    classifier = Classifier.load(resolve(model))
    result = {"model": classifier.card.version, **_evaluated(classifier, data)}
    if json_path == "-":
        print_json(result)
        return
    if json_path:
        Path(json_path).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    for limit in classifier.card.limits:
        click.echo(f"- {limit}")
    print_evaluation(result, f"{classifier.card.version} on {data}")


def _evaluated(classifier: Classifier, data: Path) -> dict[str, Any]:
    """Read the films as the worker reads them, and score them with its classifier."""
    card = classifier.card
    with bars() as progress:
        reading = progress.add_task("reading films", total=None, note="")
        try:
            films = read_labelled(
                data,
                card.classes,
                card.input_size,
                lambda done, total: progress.update(reading, completed=done, total=total),
            )
        except DatasetError as error:
            raise click.BadParameter(str(error), param_hint="--data") from error
    probabilities = classifier.predict(films.pixels)
    return evaluation.evaluate(probabilities, films.labels, card.classes, reasons_of(films.left_out))
