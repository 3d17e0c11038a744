"""A report as text for a terminal or a printer: caret's own print in the middle, what caret does not know around it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model_training.metrics import confusion_matrix
from model_training.report import caret_text
from model_training.report.formatting import p_value, share, with_interval


def text(report: Mapping[str, Any]) -> str:
    """Return the report of a run, test films first; older reports lack parts, which are left out."""
    test = report["test"]
    sections = [
        [f"{report['version']} on the test split, n = {test['n']}"],
        [f"- {limit}" for limit in report.get("limits", ())],
        caret_text.text(confusion_matrix.from_table(test["table"], test["classes"]), everything=True).splitlines(),
        [f"Balanced accuracy {_balanced(test)}; calibration error (ECE, 15 bins) {share(test['ece'])}"],
        _discrimination(test),
        _operating_points(report.get("operating_points") or ()),
        _groups(report.get("subgroups") or ()),
        [line for name, part in (report.get("without") or {}).items() for line in _brief(f"Without {name}", part)],
        _brief("Films of other hospitals", report["external"]) if report.get("external") else [],
        _source_leak(report.get("source_leak")),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each column as wide as its widest cell, the first to the left."""
    first, *rest = (max(map(len, column)) for column in zip(*rows, strict=True))
    return ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], rest)]) for row in rows]


def _balanced(evaluation: Mapping[str, Any]) -> str:
    return with_interval(evaluation["balanced_accuracy"], evaluation.get("balanced_accuracy_interval"))


def _discrimination(evaluation: Mapping[str, Any]) -> list[str]:
    if "discrimination" not in evaluation:
        return []
    rows = [["Each class against the rest", "n", "AUROC (95 %)", "AUPRC (95 %)"]]
    for name, found in evaluation["discrimination"].items():
        rows.append([name, str(found["n_positive"]), *_areas(found)])
    return columns([*rows, ["mean of the classes", str(evaluation["n"]), *_areas(evaluation["macro"])]])


def _areas(found: Mapping[str, Any]) -> Iterator[str]:
    return (with_interval(found[area], found[f"{area}_interval"]) for area in ("auroc", "auprc"))


def _operating_points(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what each threshold, chosen on validation, gives on test."""
    rows = [
        [
            f"{point['class']}, {point['rule']}",
            share(point["threshold"]),
            *(share(point["test"][name]) for name in ("sensitivity", "specificity", "ppv", "npv")),
            share(point["test"]["alerts_per_100"], 1),
        ]
        for point in points
    ]
    head = ["Threshold chosen on validation, on test", "from", "sens.", "spec.", "PPV", "NPV", "alerts/100"]
    return columns([head, *rows]) if rows else []


def _groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            f"{row['by']}: {row['group']}",
            str(row["n"]),
            "too few" if row["suppressed"] else with_interval(row["accuracy"], (row["lower"], row["upper"])),
            "" if row["suppressed"] else with_interval(row["macro_auroc"], row["macro_auroc_interval"]),
        ]
        for row in groups
    ]
    return columns([["Group", "n", "accuracy (95 %)", "macro AUROC (95 %)"], *rows]) if rows else []


def _brief(title: str, evaluation: Mapping[str, Any]) -> list[str]:
    overall = evaluation["overall"]
    accuracy = with_interval(overall["Accuracy"], (overall["AccuracyLower"], overall["AccuracyUpper"]))
    macro = with_interval(evaluation["macro"]["auroc"], evaluation["macro"]["auroc_interval"])
    null, p = share(overall["AccuracyNull"]), p_value(overall["AccuracyPValue"])
    return [
        f"{title}, n = {evaluation['n']}:",
        f"  accuracy {accuracy}, against {null} of the commonest class alone (P {p})",
        f"  balanced accuracy {_balanced(evaluation)}, macro AUROC {macro}",
    ]


def _source_leak(leak: Mapping[str, Any] | None) -> list[str]:
    if not leak:
        return []
    accuracy = with_interval(leak["accuracy"], leak["accuracy_interval"])
    return [
        f"The source is told from the features, n = {leak['n']} films of {len(leak['sources'])} sources:",
        f"  accuracy {accuracy}, against {share(leak['chance'])} of the commonest source alone",
    ]
