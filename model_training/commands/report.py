"""`thoraq report`: caret's report of anybody's predictions."""

import csv
from pathlib import Path

import click

from worker.commands.console import json_option, print_json

COLUMNS = ("truth", "prediction")


@click.command()
@click.option(
    "--predictions",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV with the columns truth and prediction.",
)
@json_option
@click.option("--text", "as_text", is_flag=True, help="Print what R's caret would print (the default).")
def report(*, predictions: Path, as_json: bool, as_text: bool) -> None:
    """Print the report of R caret's confusionMatrix for a CSV of truths and predictions.

    Example: thoraq report --predictions predictions.csv --text
    """
    from model_training import caret, caret_text  # noqa: PLC0415 - SciPy takes a second to import

    if as_json and as_text:
        raise click.UsageError("--json and --text exclude each other")
    pairs = _pairs(predictions)
    classes = sorted({name for pair in pairs for name in pair})
    if len(classes) < 2:  # noqa: PLR2004
        raise click.BadParameter("fewer than two classes occur", param_hint="--predictions")
    truth, predicted = ([classes.index(pair[column]) for pair in pairs] for column in (0, 1))
    matrix = caret.from_labels(truth, predicted, classes)
    if as_json:
        print_json(matrix.as_dict())
    else:
        click.echo(caret_text.text(matrix), nl=False)


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Return (truth, prediction) of every row, which both must have."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := set(COLUMNS) - set(rows.fieldnames or ()):
                raise click.BadParameter(f"no column {' nor '.join(sorted(missing))}", param_hint="--predictions")
            pairs = [(row["truth"], row["prediction"]) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise click.BadParameter(f"{path} is no CSV in UTF-8", param_hint="--predictions") from error
    for number, pair in enumerate(pairs, start=1):
        if not all(pair):
            raise click.BadParameter(f"row {number} lacks a value", param_hint="--predictions")
    return pairs
