"""Formats a report as plain text: what caret would print, and the other figures around it."""

from collections.abc import Sequence

from model_training.metrics import confusion_matrix
from model_training.report import caret_text
from model_training.report.formatting import p_value, share, with_interval
from worker.models.documents.evaluation import Evaluation, MacroAreas
from worker.models.documents.report import OperatingPoint, Report, SourceLeak, Subgroup


def text(report: Report) -> str:
    """Return the report of a run, test films first; older reports lack parts, which are left out.

    Raises:
        UnreadableDocument: the report has no evaluation of test films.
    """
    test = report.tested
    sections = [
        [f"{report.version} on the test split, n = {test.n}"],
        [f"- {limit}" for limit in report.limits],
        caret_text.text(confusion_matrix.from_table(test.table, test.classes), everything=True).splitlines(),
        [f"Balanced accuracy {_balanced(test)}; calibration error (ECE, 15 bins) {share(test.ece)}"],
        _areas_under_curves(test),
        _operating_points(report.operating_points),
        _groups(report.subgroups),
        [line for name, part in report.without.items() for line in _brief(f"Without {name}", part)],
        _brief("Films of other hospitals", report.external) if report.external else [],
        _source_leak(report.source_leak),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each column as wide as its widest cell, the first to the left."""
    first, *rest = (max(map(len, column)) for column in zip(*rows, strict=True))
    return ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], rest)]) for row in rows]


def _balanced(evaluation: Evaluation) -> str:
    return with_interval(evaluation.balanced_accuracy, evaluation.balanced_accuracy_interval)


def _areas_under_curves(evaluation: Evaluation) -> list[str]:
    if evaluation.roc is None or evaluation.macro is None:
        return []
    rows = [["Each class against the rest", "n", "AUROC (95 %)", "AUPRC (95 %)"]]
    rows += [[name, str(areas.n_positive), *_areas(areas)] for name, areas in evaluation.roc.items()]
    return columns([*rows, ["mean of the classes", str(evaluation.n), *_areas(evaluation.macro)]])


def _areas(areas: MacroAreas) -> tuple[str, str]:
    return with_interval(areas.auroc, areas.auroc_interval), with_interval(areas.auprc, areas.auprc_interval)


def _operating_points(points: Sequence[OperatingPoint]) -> list[str]:
    """Return what each threshold, chosen on validation, gives on test."""
    rows = [
        [
            f"{point.class_name}, {point.rule}",
            share(point.threshold),
            *map(share, (point.test.sensitivity, point.test.specificity, point.test.ppv, point.test.npv)),
            share(point.test.alerts_per_100, 1),
        ]
        for point in points
    ]
    head = ["Threshold chosen on validation, on test", "from", "sens.", "spec.", "PPV", "NPV", "alerts/100"]
    return columns([head, *rows]) if rows else []


def _groups(groups: Sequence[Subgroup]) -> list[str]:
    rows = [
        [
            f"{row.by}: {row.group}",
            str(row.n),
            "too few" if row.suppressed else with_interval(row.accuracy, row.interval),
            "" if row.suppressed else with_interval(row.macro_auroc, row.macro_auroc_interval),
        ]
        for row in groups
    ]
    return columns([["Group", "n", "accuracy (95 %)", "macro AUROC (95 %)"], *rows]) if rows else []


def _brief(title: str, evaluation: Evaluation) -> list[str]:
    overall = evaluation.overall
    accuracy = with_interval(overall.accuracy, overall.accuracy_interval)
    macro = with_interval(evaluation.macro_auroc, evaluation.macro_auroc_interval)
    null, p = share(overall.accuracy_null), p_value(overall.accuracy_p_value)
    return [
        f"{title}, n = {evaluation.n}:",
        f"  accuracy {accuracy}, against {null} of the commonest class alone (P {p})",
        f"  balanced accuracy {_balanced(evaluation)}, macro AUROC {macro}",
    ]


def _source_leak(leak: SourceLeak | None) -> list[str]:
    if leak is None:
        return []
    accuracy = with_interval(leak.accuracy, leak.accuracy_interval)
    return [
        f"The source predicted from the features, n = {leak.n} films of {len(leak.sources)} sources:",
        f"  accuracy {accuracy}, against {share(leak.chance)} of the commonest source alone",
    ]
