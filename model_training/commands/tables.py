"""Evaluations and versions as tables for a person: every share with its n and its interval."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from model_training.report.formatting import UNDEFINED, count, interval, p_value, share, signed, with_interval
from worker.commands.console import print_table

COLUMNS = ("class", "films", "predicted", "sensitivity", "specificity", "precision", "AUROC")
VERSION_COLUMNS = (
    "version",
    "features",
    "parameters",
    "training score",
    "validation score",
    "test score",
    "balanced accuracy, macro AUROC (test)",
    "loss: training, validation, test",
)
NOT_STATED = "not stated"


def print_evaluation(evaluation: Mapping[str, Any], title: str) -> None:
    """Print n, accuracy with its interval, and a row per class, on stdout."""
    overall, rejected = evaluation["overall"], evaluation["rejected"]
    click.echo(
        f"{title}: accuracy {share(overall['Accuracy'])} "
        f"(95 % CI {interval((overall['AccuracyLower'], overall['AccuracyUpper']))}) "
        f"on {evaluation['n']} films; the commonest class alone would give {share(overall['AccuracyNull'])}"
    )
    print_table("", COLUMNS, (_row(evaluation, index) for index in range(len(evaluation["classes"]))))
    balanced = with_interval(evaluation["balanced_accuracy"], evaluation["balanced_accuracy_interval"])
    macro = with_interval(evaluation["macro"]["auroc"], evaluation["macro"]["auroc_interval"])
    click.echo(
        f"balanced accuracy {balanced}, macro AUROC {macro}, calibration error {share(evaluation['ece'])}, "
        f"{rejected['count']} files rejected"
    )


def _row(evaluation: Mapping[str, Any], index: int) -> tuple[object, ...]:
    name, table = evaluation["classes"][index], evaluation["table"]
    figures, found = evaluation["byClass"][name], evaluation["discrimination"][name]
    return (
        name,
        sum(row[index] for row in table),
        sum(table[index]),
        *(share(figures[key]) for key in ("Sensitivity", "Specificity", "Precision")),
        with_interval(found["auroc"], found["auroc_interval"]),
    )


def print_versions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print versions in the columns of the paper's Figure 11, each with the paper's own row below it."""
    print_table("", VERSION_COLUMNS, (line for row in rows for line in _ours_and_the_papers(row)))
    click.echo(
        "Score: accuracy, with its 95 % interval and n. The paper's films are not known, and are not these. "
        f"Loss: mean cross-entropy in nats of the published network. {NOT_STATED}: by the paper, or by an older report."
    )


def _ours_and_the_papers(row: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    balanced, macro = (
        _stated(row[name]["test"], row[f"{name}_interval"]["test"]) for name in ("balanced_accuracy", "macro_auroc")
    )
    yield (
        row["version"],
        row["features"],
        count(row["trainable_parameters"]),
        *(
            f"{_stated(row['accuracy'][split], row['accuracy_interval'][split])}\nn = {n}"
            for split, n in row["n"].items()
        ),
        f"{balanced}\n{macro}",
        _losses(row["loss"]),
    )
    if paper := row["paper"]:
        yield (
            f"the paper's {paper['version']}",
            paper["features"],
            count(paper["trainable_parameters"]),
            *(_stated(score) for score in paper["accuracy"].values()),
            NOT_STATED,
            _losses(paper["loss"]),
        )


def _losses(loss: Mapping[str, float | None]) -> str:
    if all(value is None for value in loss.values()):
        return NOT_STATED
    return ", ".join(NOT_STATED if value is None else share(value, 4) for value in loss.values())


def _stated(value: float | None, ends: Sequence[float | None] | None = None) -> str:
    if value is None:
        return NOT_STATED
    return with_interval(value, ends) if ends else share(value)


def print_comparison(comparison: Mapping[str, Any]) -> None:
    """Print how two versions differ on the same films."""
    found, mcnemar = comparison["differences"], comparison["mcnemar"]
    figures = {name.replace("_", " "): found[name] for name in ("macro_auroc", "accuracy", "balanced_accuracy")}
    figures |= {f"sensitivity, {name}": part for name, part in found["sensitivity"].items()}
    columns = ("", comparison["a"], comparison["b"], "difference", "95 % interval")
    print_table(
        f"On the same {comparison['n']} films",
        columns,
        (
            (name, share(part["a"]), share(part["b"]), signed(part["difference"]), _ends(part["interval"]))
            for name, part in figures.items()
        ),
    )
    if comparison["left_out"]:
        click.echo(f"Films that only one of them takes for one of its kind, and left out: {comparison['left_out']}")
    click.echo(
        f"Right only by {comparison['a']}: {mcnemar['a_right_b_wrong']}; only by {comparison['b']}: "
        f"{mcnemar['b_right_a_wrong']}; P {p_value(mcnemar['p'])} ({mcnemar['method']})"
    )


def _ends(ends: Sequence[float | None] | None) -> str:
    return UNDEFINED if ends is None or None in ends else " to ".join(map(signed, ends))
