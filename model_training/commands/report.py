"""`thoraq report`: the report of R's caret for any predictions, or the stored report of a run."""

import csv
from pathlib import Path

import click

from worker.commands.console import json_option, print_json
from worker.models.documents.report import Report

COLUMNS = ("truth", "prediction")


@click.command()
@click.option(
    "--predictions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV with the columns truth and prediction.",
)
@click.option("--run", metavar="MODEL", help="A model directory, a registered version, or `active`.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the run's report as a page.")
@json_option
@click.option("--text", "as_text", is_flag=True, help="Print text, as R's caret would (the default).")
def report(*, predictions: Path | None, run: str | None, html: Path | None, as_json: bool, as_text: bool) -> None:
    """Print the report of R caret's confusionMatrix for a CSV of truths and predictions, or the report of a run.

    The report of a run is built from its stored files, without films and without the network.

    Example: thoraq report --predictions predictions.csv --text

    Example: thoraq report --run candidate --html report.html
    """
    if as_json and as_text:
        raise click.UsageError("use either --json or --text")
    if (predictions is None) == (run is None):
        raise click.UsageError("give either --predictions or --run")
    if html and run is None:
        raise click.UsageError("--html needs --run")
    if predictions:
        _of_predictions(predictions, as_json=as_json)
    elif run:
        _of_run(run, html, as_json=as_json, as_text=as_text)


def _of_predictions(path: Path, *, as_json: bool) -> None:
    from model_training.metrics import confusion_matrix  # noqa: PLC0415 - SciPy takes a second to import
    from model_training.report import caret_text  # noqa: PLC0415 - SciPy takes a second to import

    pairs = _pairs(path)
    classes = sorted({name for pair in pairs for name in pair})
    if len(classes) < 2:  # noqa: PLR2004
        raise click.BadParameter("there are fewer than two classes", param_hint="--predictions")
    truth, predicted = ([classes.index(pair[column]) for pair in pairs] for column in (0, 1))
    matrix = confusion_matrix.from_labels(truth, predicted, classes)
    if as_json:
        print_json(matrix)
    else:
        click.echo(caret_text.text(matrix), nl=False)


def _of_run(choice: str, html: Path | None, *, as_json: bool, as_text: bool) -> None:
    from model_training.report import text  # noqa: PLC0415 - SciPy takes a second to import
    from worker.commands.model_choice import resolve  # noqa: PLC0415 - and so does the database
    from worker.models.directory import read_report  # noqa: PLC0415

    directory = resolve(choice)
    stored = read_report(directory)
    if stored.test is None:
        raise click.BadParameter(f"{directory} has no report", param_hint="--run")
    if html:
        _write_page(stored, directory, html)
    if as_json:
        print_json(stored)
    elif as_text or not html:
        click.echo(text.text(stored), nl=False)


def _write_page(stored: Report, directory: Path, html: Path) -> None:
    from model_training.report import page  # noqa: PLC0415 - Matplotlib takes a second to import
    from model_training.report.thumbnails import THUMBNAILS_DIR  # noqa: PLC0415
    from model_training.training.predictions import load  # noqa: PLC0415
    from worker.errors import ModelUnavailable  # noqa: PLC0415
    from worker.models.directory import read_card  # noqa: PLC0415

    try:
        card, predictions = read_card(directory), load(directory)
        page.write(stored, html, predictions=predictions, card=card, thumbnails=directory / THUMBNAILS_DIR)
    except (ModelUnavailable, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--run") from error
    except OSError as error:
        raise click.BadParameter(f"{html}: {error.strerror}", param_hint="--html") from error


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Return (truth, prediction) of every row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := set(COLUMNS) - set(rows.fieldnames or ()):
                raise click.BadParameter(
                    f"there is no column {' nor '.join(sorted(missing))}", param_hint="--predictions"
                )
            pairs = [(row["truth"], row["prediction"]) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise click.BadParameter(f"{path} is not CSV in UTF-8", param_hint="--predictions") from error
    for number, pair in enumerate(pairs, start=1):
        if not all(pair):
            raise click.BadParameter(f"row {number} has an empty value", param_hint="--predictions")
    return pairs
