"""Prints evaluations and versions as tables, each share with its n and its interval."""

from collections.abc import Iterator, Mapping, Sequence

import click

from model_training.metrics.comparison import Comparison
from model_training.report.formatting import UNDEFINED, count, interval, p_value, share, signed, with_interval
from model_training.report.versions import VersionRow
from worker.commands.console import print_table
from worker.models.documents.document import Interval
from worker.models.documents.evaluation import ClassAreas, Evaluation

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


def print_evaluation(evaluation: Evaluation, title: str) -> None:
    """Print n, accuracy with its interval, and a row for each class."""
    overall = evaluation.overall
    click.echo(
        f"{title}: accuracy {share(overall.accuracy)} (95 % CI {interval(overall.accuracy_interval)}) "
        f"on {evaluation.n} films; always naming the most common class would give {share(overall.accuracy_null)}"
    )
    print_table("", COLUMNS, (_row(evaluation, index) for index in range(len(evaluation.classes))))
    balanced = with_interval(evaluation.balanced_accuracy, evaluation.balanced_accuracy_interval)
    macro = with_interval(evaluation.macro_auroc, evaluation.macro_auroc_interval)
    rejected = evaluation.rejected.count if evaluation.rejected else 0
    click.echo(
        f"balanced accuracy {balanced}, macro AUROC {macro}, calibration error {share(evaluation.ece)}, "
        f"{rejected} files rejected"
    )


def _row(evaluation: Evaluation, index: int) -> tuple[object, ...]:
    name, table = evaluation.classes[index], evaluation.table
    figures, areas = evaluation.by_class[name], (evaluation.roc or {}).get(name, ClassAreas())
    return (
        name,
        sum(row[index] for row in table),
        sum(table[index]),
        *map(share, (figures.sensitivity, figures.specificity, figures.precision)),
        with_interval(areas.auroc, areas.auroc_interval),
    )


def print_versions(rows: Sequence[VersionRow]) -> None:
    """Print versions with the columns of the paper's Figure 11, each above the paper's own row."""
    print_table("", VERSION_COLUMNS, (line for row in rows for line in _ours_and_the_papers(row)))
    click.echo(
        "Score: accuracy, with its 95 % interval and n. The paper's films are unknown and differ from these. "
        "Loss: mean cross-entropy in nats of the published network. "
        f"{NOT_STATED}: not in the paper, or not in an older report."
    )


def _ours_and_the_papers(row: VersionRow) -> Iterator[tuple[object, ...]]:
    balanced = _stated(row.balanced_accuracy["test"], row.balanced_accuracy_interval["test"])
    macro = _stated(row.macro_auroc["test"], row.macro_auroc_interval["test"])
    yield (
        row.version,
        row.features,
        count(row.trainable_parameters),
        *(f"{_stated(row.accuracy[split], row.accuracy_interval[split])}\nn = {n}" for split, n in row.n.items()),
        f"{balanced}\n{macro}",
        _losses(row.loss),
    )
    if paper := row.paper:
        yield (
            f"the paper's {paper.version}",
            paper.features,
            count(paper.trainable_parameters),
            *(_stated(score) for score in paper.accuracy.values()),
            NOT_STATED,
            _losses(paper.loss),
        )


def _losses(loss: Mapping[str, float | None]) -> str:
    if all(value is None for value in loss.values()):
        return NOT_STATED
    return ", ".join(NOT_STATED if value is None else share(value, 4) for value in loss.values())


def _stated(value: float | None, ends: Interval | None = None) -> str:
    if value is None:
        return NOT_STATED
    return with_interval(value, ends) if ends else share(value)


def print_comparison(comparison: Comparison) -> None:
    """Print how two versions differ on the same films."""
    differences, mcnemar = comparison.differences, comparison.mcnemar
    figures = {
        "macro auroc": differences.macro_auroc,
        "accuracy": differences.accuracy,
        "balanced accuracy": differences.balanced_accuracy,
        **{f"sensitivity, {name}": part for name, part in differences.sensitivity.items()},
    }
    columns = ("", comparison.a, comparison.b, "difference", "95 % interval")
    print_table(
        f"On the same {comparison.n} films",
        columns,
        (
            (name, share(part.a), share(part.b), signed(part.difference), _ends(part.interval))
            for name, part in figures.items()
        ),
    )
    if comparison.left_out:
        click.echo(f"Films that only one of the two accepts, left out: {comparison.left_out}")
    click.echo(
        f"Only {comparison.a} is right: {mcnemar.a_right_b_wrong} films; only {comparison.b}: "
        f"{mcnemar.b_right_a_wrong}; P {p_value(mcnemar.p)} ({mcnemar.method})"
    )


def _ends(ends: Interval | None) -> str:
    return UNDEFINED if ends is None or None in ends else " to ".join(map(signed, ends))
