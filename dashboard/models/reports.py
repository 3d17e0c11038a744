"""An evaluation report as a page shows it: the parts that the stored report has, in the order in which they are read.

Reports of older versions lack parts; a missing part is None here, and the page says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.models.documents.card import ModelCard
from worker.models.documents.document import Interval
from worker.models.documents.evaluation import ClassFigures, Evaluation, MacroAreas
from worker.models.documents.report import Report
from worker.models.records import ModelVersion

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
    #: How many films the figures are made of; each figure is shown with it.
    n: int | None
    accuracy: float | None
    #: The exact 95 % interval of the accuracy.
    interval: Interval
    overall: list[tuple[str, float | None]]
    classes: tuple[str, ...]
    #: (predicted class, a cell for each actual class), or None.
    matrix: list[tuple[str, list[Cell]]] | None
    #: (class, caret's columns and the AUROC), or None.
    by_class: list[tuple[str, list[float | None]]] | None
    #: (class or mean, n of the class, AUROC and its interval's ends, AUPRC and its interval's ends), or None.
    areas: list[tuple[str, list[float | None]]] | None
    rejected: int | None


def splits(report: Report) -> list[Split]:
    """Return the splits that a report has, the test set first."""
    parts = ((name, title, report.of_split(name)) for name, title in SPLITS)
    return [_split(name, title, evaluation) for name, title, evaluation in parts if evaluation is not None]


def headline(report: Report, card: ModelCard) -> tuple[int | None, float | None]:
    """Return the n and the accuracy on the test set, from the report or, where it has none, from the card."""
    if report.test is not None and report.test.overall.accuracy is not None:
        return report.test.n, report.test.overall.accuracy
    test = card.metrics.get("test")
    return (test.n, test.accuracy) if test else (None, None)


def by_group(report: Report) -> list[tuple[str, list[float | None]]]:
    """Return (group, [n, accuracy, lower and upper end of its 95 % interval]) of the test set's groups.

    The groups are by source, view, sex and age, or by source alone in older reports; a group with too few films has its
    n only.
    """
    if report.subgroups:
        return [(f"{row.by}: {row.group}", [row.n, row.accuracy, row.lower, row.upper]) for row in report.subgroups]
    return [
        (f"source: {row.group}", [row.n, row.accuracy, row.accuracy_lower, row.accuracy_upper])
        for row in report.test_by_source
    ]


def side_by_side(one: ModelVersion, other: ModelVersion) -> list[tuple[str, float | None, float | None]]:
    """Return (figure, of the one, of the other) on each version's test films."""
    classes = list(dict.fromkeys([*one.card.classes, *other.card.classes]))
    left, right = (_compared(model.report.test or Evaluation(), classes) for model in (one, other))
    return [(name, value, right[name]) for name, value in left.items()]


def _compared(test: Evaluation, classes: Sequence[str]) -> dict[str, float | None]:
    overall = test.overall
    figures = {name: test.by_class.get(name, ClassFigures()) for name in classes}
    return {
        "n": test.n,
        "Accuracy": overall.accuracy,
        "Accuracy, lower end of its 95 % interval": overall.accuracy_lower,
        "Accuracy, upper end": overall.accuracy_upper,
        "Balanced accuracy": test.balanced_accuracy,
        "Kappa": overall.kappa,
        "Macro AUROC": test.macro_auroc,
        "Expected calibration error, 15 bins": test.ece,
        **{f"AUROC {name}": test.auroc.get(name) for name in classes},
        **{f"Sensitivity {name}": part.sensitivity for name, part in figures.items()},
        **{f"Specificity {name}": part.specificity for name, part in figures.items()},
    }


def _split(name: str, title: str, part: Evaluation) -> Split:
    overall = part.overall
    return Split(
        name=name,
        title=title,
        n=part.n,
        accuracy=overall.accuracy,
        interval=overall.accuracy_interval,
        overall=[
            ("Balanced accuracy", part.balanced_accuracy),
            ("Macro AUROC", part.macro_auroc),
            ("Kappa", overall.kappa),
            ("No information rate", overall.accuracy_null),
            ("P (accuracy > no information rate)", overall.accuracy_p_value),
            ("P (McNemar)", overall.mcnemar_p_value),
            ("Expected calibration error, 15 bins", part.ece),
        ],
        classes=part.classes,
        matrix=_matrix(part),
        by_class=_by_class(part),
        areas=_areas(part),
        rejected=part.rejected.count if part.rejected else None,
    )


def _matrix(part: Evaluation) -> list[tuple[str, list[Cell]]] | None:
    if not part.classes or len(part.table) != len(part.classes):
        return None
    rows = enumerate(zip(part.classes, part.table, strict=True))
    return [(name, _cells(counts, row)) for row, (name, counts) in rows]


def _cells(counts: Sequence[int], row: int) -> list[Cell]:
    total = sum(counts)
    shares = [count / total if total else None for count in counts]
    return [
        Cell(count, share, round(SHADES * (share or 0)), right=column == row)
        for column, (count, share) in enumerate(zip(counts, shares, strict=True))
    ]


def _by_class(part: Evaluation) -> list[tuple[str, list[float | None]]] | None:
    if not part.by_class:
        return None
    figures = {name: part.by_class.get(name, ClassFigures()) for name in part.classes}
    return [(name, [*row.by_name().values(), part.auroc.get(name)]) for name, row in figures.items()]


def _areas(part: Evaluation) -> list[tuple[str, list[float | None]]] | None:
    if part.roc is None or part.macro is None:
        return None
    rows = [(name, row.n_positive, row) for name, row in part.roc.items()]
    return [(name, _area(n, row)) for name, n, row in [*rows, ("mean of the classes", part.n, part.macro)]]


def _area(n: int | None, row: MacroAreas) -> list[float | None]:
    undefined = (None, None)
    return [n, row.auroc, *(row.auroc_interval or undefined), row.auprc, *(row.auprc_interval or undefined)]
