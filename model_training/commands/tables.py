"""An evaluation as a table for a person: every share with its n and its interval."""

from collections.abc import Mapping
from typing import Any

import click

from worker.commands.console import print_table

COLUMNS = ("class", "films", "predicted", "sensitivity", "specificity", "precision", "AUROC")


def print_evaluation(evaluation: Mapping[str, Any], title: str) -> None:
    """Print n, accuracy with its interval, and a row per class, on stdout."""
    overall, rejected = evaluation["overall"], evaluation["rejected"]
    click.echo(
        f"{title}: accuracy {_share(overall['Accuracy'])} "
        f"(95 % CI {_share(overall['AccuracyLower'])} to {_share(overall['AccuracyUpper'])}) "
        f"on {evaluation['n']} films; the commonest class alone would give {_share(overall['AccuracyNull'])}"
    )
    print_table("", COLUMNS, (_row(evaluation, index) for index in range(len(evaluation["classes"]))))
    click.echo(
        f"balanced accuracy {_share(evaluation['balanced_accuracy'])}, "
        f"macro AUROC {_share(evaluation['auroc']['macro'])}, calibration error {_share(evaluation['ece'])}, "
        f"{rejected['count']} files rejected"
    )


def _row(evaluation: Mapping[str, Any], index: int) -> tuple[object, ...]:
    name, table = evaluation["classes"][index], evaluation["table"]
    figures = evaluation["byClass"][name]
    return (
        name,
        sum(row[index] for row in table),
        sum(table[index]),
        *(_share(figures[key]) for key in ("Sensitivity", "Specificity", "Precision")),
        _share(evaluation["auroc"][name]),
    )


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
