"""`thoraq report`: the report of R's caret for any predictions, or the stored report of a run."""

import csv
from pathlib import Path

import click

from worker.commands.console import json_option, print_json
from worker.models.documents.report import Report

COLUMNS = ("truth", "prediction")
#: What R reads as a missing value; its confusionMatrix leaves such rows out.
MISSING = frozenset({"", "NA", "NaN"})


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

    rows = _rows(path)
    pairs = [pair for pair in rows if not MISSING & set(pair)]
    classes = _classes(pairs)
    truth, predicted = ([classes.index(pair[column]) for pair in pairs] for column in (0, 1))
    matrix = confusion_matrix.from_labels(truth, predicted, classes)
    missing = len(rows) - len(pairs)
    if missing:
        click.echo(f"{missing} of {len(rows)} rows have a missing value and are left out, as in R", err=True)
    if as_json:
        print_json({**matrix.stored(), "missing": missing})
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


def _rows(path: Path) -> list[tuple[str, str]]:
    """Return (truth, prediction) of every row, without blanks around them."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restval="", skipinitialspace=True)
            names = [name.strip() for name in rows.fieldnames or ()]
            if absent := sorted(set(COLUMNS) - set(names)):
                raise _unusable(f"there is no column {' nor '.join(absent)}")
            rows.fieldnames = names
            return [(row["truth"].strip(), row["prediction"].strip()) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unusable(f"{path} is not CSV in UTF-8") from error


def _classes(pairs: list[tuple[str, str]]) -> list[str]:
    """Return the classes in alphabetical order.

    Raises:
        click.BadParameter: there are fewer than two, or the predictions are not classes.
    """
    truths, predictions = ({pair[column] for pair in pairs} for column in (0, 1))
    classes = sorted(truths | predictions)
    if len(classes) < 2:  # noqa: PLR2004
        raise _unusable("there are fewer than two classes")
    for column, values in zip(COLUMNS, (truths, predictions), strict=True):
        if fraction := next(filter(_is_fraction, sorted(values)), None):
            raise _unusable(f"the column {column} has {fraction}, a number and not a class: give the class predicted")
    if not truths & predictions:
        raise _unusable("no class of the column prediction occurs in the column truth")
    return classes


def _is_fraction(value: str) -> bool:
    """Return whether a value is a number with a fractional part, such as a probability."""
    try:
        return not float(value).is_integer()
    except ValueError:
        return False


def _unusable(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="--predictions")
