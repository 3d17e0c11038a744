"""An evaluation report as it is shown: whatever parts the stored JSON has, in the order in which they are read.

Reports of older versions lack parts; what is missing is None here and is said on the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.formatting import from_path
from worker.models.records import ModelVersion

#: caret's eleven columns, in caret's order.
CLASS_COLUMNS = (
    "Sensitivity",
    "Specificity",
    "Pos Pred Value",
    "Neg Pred Value",
    "Precision",
    "Recall",
    "F1",
    "Prevalence",
    "Detection Rate",
    "Detection Prevalence",
    "Balanced Accuracy",
)
SPLITS = (("test", "Test set"), ("validation", "Validation set"), ("train", "Training set"))
#: Shades of a confusion matrix; `thoraq.css` has a rule for each.
SHADES = 10


@dataclass(frozen=True)
class Cell:
    """One count of a confusion matrix."""

    count: int
    #: Share of its row, the films that were given this label; None in a row of zeros.
    share: float | None
    #: 0 (none of the row) to `SHADES` (the whole row).
    shade: int
    right: bool


@dataclass(frozen=True)
class Split:
    """The report of one split of the data."""

    name: str
    title: str
    #: Films that the figures are made of; each figure is shown with it.
    n: int | None
    accuracy: object
    #: 95 %, exact.
    interval: tuple[object, object]
    overall: list[tuple[str, object]]
    classes: list[str]
    #: (predicted class, a cell for each actual class), or None.
    matrix: list[tuple[str, list[Cell]]] | None
    #: (class, caret's columns and the AUROC), or None.
    by_class: list[tuple[str, list[object]]] | None
    #: (class or mean, n of the class, AUROC and its interval's ends, AUPRC and its interval's ends), or None.
    areas: list[tuple[str, list[object]]] | None
    rejected: int | None


def splits(report: Mapping[str, Any]) -> list[Split]:
    """Return the splits that a report has, the test set first."""
    return [_split(name, title, report[name]) for name, title in SPLITS if isinstance(report.get(name), Mapping)]


def headline(report: Mapping[str, Any], card: Mapping[str, Any]) -> tuple[object, object]:
    """Return the n and the accuracy on the test set, from the report or, failing that, from the card."""
    n, accuracy = from_path(report, "test", "n"), from_path(report, "test", "overall", "Accuracy")
    if accuracy is None:
        n, accuracy = from_path(card, "metrics", "test", "n"), from_path(card, "metrics", "test", "accuracy")
    return n, accuracy


def by_group(report: Mapping[str, Any]) -> list[tuple[str, list[object]]]:
    """Return (group, [n, accuracy, lower and upper end of its 95 % interval]) of the test set's groups.

    By source, view, sex and age, or by source alone in older reports; a group that is too small has its n only.
    """
    rows, names = report.get("subgroups"), ("n", "accuracy", "lower", "upper")
    if not rows:
        rows, names = report.get("test_by_source"), ("n", "Accuracy", "AccuracyLower", "AccuracyUpper")
    return [
        (f"{row.get('by', 'source')}: {row.get('group')}", [row.get(name) for name in names])
        for row in (rows if isinstance(rows, Sequence) else ())
        if isinstance(row, Mapping)
    ]


def side_by_side(one: ModelVersion, other: ModelVersion) -> list[tuple[str, object, object]]:
    """Return (figure, of the one, of the other) on each version's test films."""
    paths: list[tuple[str, tuple[str, ...]]] = [
        ("n", ("n",)),
        ("Accuracy", ("overall", "Accuracy")),
        ("Accuracy, lower end of its 95 % interval", ("overall", "AccuracyLower")),
        ("Accuracy, upper end", ("overall", "AccuracyUpper")),
        ("Balanced accuracy", ("balanced_accuracy",)),
        ("Kappa", ("overall", "Kappa")),
        ("Macro AUROC", ("auroc", "macro")),
        ("Expected calibration error, 15 bins", ("ece",)),
    ]
    classes = dict.fromkeys([*one.card.get("classes", ()), *other.card.get("classes", ())])
    paths += [(f"AUROC {name}", ("auroc", name)) for name in classes]
    paths += [(f"Sensitivity {name}", ("byClass", name, "Sensitivity")) for name in classes]
    paths += [(f"Specificity {name}", ("byClass", name, "Specificity")) for name in classes]
    return [(name, *(from_path(model.report, "test", *path) for model in (one, other))) for name, path in paths]


def _split(name: str, title: str, part: Mapping[str, Any]) -> Split:
    classes = [str(entry) for entry in part.get("classes") or ()]
    return Split(
        name=name,
        title=title,
        n=part.get("n"),
        accuracy=from_path(part, "overall", "Accuracy"),
        interval=(from_path(part, "overall", "AccuracyLower"), from_path(part, "overall", "AccuracyUpper")),
        overall=[
            ("Balanced accuracy", part.get("balanced_accuracy")),
            ("Macro AUROC", from_path(part, "auroc", "macro")),
            ("Kappa", from_path(part, "overall", "Kappa")),
            ("No information rate", from_path(part, "overall", "AccuracyNull")),
            ("P (accuracy > no information rate)", from_path(part, "overall", "AccuracyPValue")),
            ("P (McNemar)", from_path(part, "overall", "McnemarPValue")),
            ("Expected calibration error, 15 bins", part.get("ece")),
        ],
        classes=classes,
        matrix=_matrix(part.get("table"), classes),
        by_class=_by_class(part, classes),
        areas=_areas(part),
        rejected=_count(part.get("rejected")),
    )


def _matrix(table: object, classes: Sequence[str]) -> list[tuple[str, list[Cell]]] | None:
    if not isinstance(table, Sequence) or len(table) != len(classes) or not classes:
        return None
    return [(name, _cells(counts, row)) for row, (name, counts) in enumerate(zip(classes, table, strict=True))]


def _cells(counts: Sequence[int], row: int) -> list[Cell]:
    total = sum(counts)
    shares = [count / total if total else None for count in counts]
    return [
        Cell(count, share, round(SHADES * (share or 0)), right=column == row)
        for column, (count, share) in enumerate(zip(counts, shares, strict=True))
    ]


def _by_class(part: Mapping[str, Any], classes: Sequence[str]) -> list[tuple[str, list[object]]] | None:
    if not isinstance(part.get("byClass"), Mapping):
        return None
    return [
        (
            name,
            [from_path(part, "byClass", name, column) for column in CLASS_COLUMNS] + [from_path(part, "auroc", name)],
        )
        for name in classes
    ]


def _areas(part: Mapping[str, Any]) -> list[tuple[str, list[object]]] | None:
    found, mean = part.get("discrimination"), part.get("macro")
    if not isinstance(found, Mapping) or not isinstance(mean, Mapping):
        return None
    rows = [*found.items(), ("mean of the classes", {**mean, "n_positive": part.get("n")})]
    return [(name, [row.get("n_positive"), *_with_ends(row, "auroc"), *_with_ends(row, "auprc")]) for name, row in rows]


def _with_ends(row: Mapping[str, Any], area: str) -> tuple[object, object, object]:
    lower, upper = row.get(f"{area}_interval") or (None, None)
    return row.get(area), lower, upper


def _count(rejected: object) -> int | None:
    """Return how many films were rejected, stored as a number or with their reasons."""
    count = rejected.get("count") if isinstance(rejected, Mapping) else rejected
    return count if isinstance(count, int) else None
