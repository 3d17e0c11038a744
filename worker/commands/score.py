"""`thoraq score`: runs the worker's decoder and network on files, in this process."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from worker import NOTICE
from worker.commands.console import json_option, print_json, print_table, progress
from worker.commands.model_choice import model_option, resolve
from worker.commands.submissions import films_under
from worker.decoding import Limits, decode
from worker.errors import RejectedImage
from worker.models.classifier import Classifier
from worker.settings import settings


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@model_option
@json_option
def score(paths: tuple[Path, ...], model: str, *, as_json: bool) -> None:
    """Score files in this process, without a queue or a database.

    Example: thoraq score film.png --model active --json
    """
    films = films_under(paths)
    classifier = Classifier.load(resolve(model), batch_size=settings().batch_size)
    rows: list[dict[str, Any]] = []
    with progress("scoring", len(films)) as show:
        for _, path in films:
            rows.append({"file": str(path), **_score_one(path, classifier)})
            show(len(rows))
    if as_json:
        print_json(rows)
    else:
        print_table(
            f"{classifier.card.version}. {NOTICE}",
            ("film", "outcome", "reason", "finding", "probability"),
            [
                (row["file"], row["outcome"], row["reason"], row["label"],
                 f"{max(row['probabilities'].values()):.3f}" if row["probabilities"] else None)
                for row in rows
            ],
        )  # fmt: skip


def _score_one(path: Path, classifier: Classifier) -> dict[str, Any]:
    """Return the outcome of one file."""
    limits = Limits(settings().max_file_bytes, settings().max_pixels)
    try:
        film = classifier.prepare(decode(path.read_bytes(), limits))
    except RejectedImage as error:
        return {"outcome": "rejected", "reason": error.reason.value, "label": None, "probabilities": None}
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from error
    probabilities = classifier.predict(film[np.newaxis])[0]
    label = classifier.card.classes[int(probabilities.argmax())]
    by_class = dict(zip(classifier.card.classes, probabilities.tolist(), strict=True))
    return {"outcome": "scored", "reason": None, "label": label, "probabilities": by_class}
