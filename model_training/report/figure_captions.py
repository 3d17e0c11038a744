"""What a report's figures show, in words and with the numbers that matter: for whoever does not see them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from model_training.report import figures
from model_training.report.formatting import count, per_cent, share, with_interval

Report = Mapping[str, Any]


def _curves(report: Report) -> str:
    history, kept = report["history"], report["kept_epoch"]
    entry = next(entry for entry in history if entry["epoch"] == kept)
    return (
        f"Loss and accuracy per epoch over {len(history)} epochs. Kept: epoch {kept}, with loss {share(entry['loss'])} "
        f"in training and {share(entry['val_loss'])} on validation, accuracy {share(entry['accuracy'])} and "
        f"{share(entry['val_accuracy'])}."
    )


def _confusion(report: Report) -> str:
    test = report["test"]
    right = ", ".join(
        f"{name} {test['table'][index][index]} of {sum(row[index] for row in test['table'])}"
        for index, name in enumerate(test["classes"])
    )
    return f"Confusion matrix of {test['n']} films, rows predicted, columns reference. Named rightly: {right}."


def _areas(report: Report, area: str) -> str:
    found = report["test"]["discrimination"]
    return "; ".join(
        f"{name} (n = {figures['n_positive']}) {with_interval(figures[area], figures[f'{area}_interval'])}"
        for name, figures in found.items()
    )


def _roc(report: Report) -> str:
    return f"ROC curves. Areas with 95 % intervals: {_areas(report, 'auroc')}."


def _precision_recall(report: Report) -> str:
    return f"Precision-recall curves. Areas with 95 % intervals: {_areas(report, 'auprc')}."


def _reliability(report: Report) -> str:
    scaling = report.get("calibration")
    if not scaling:
        return f"Accuracy against stated probability in 15 bins; ECE {share(report['test']['calibration']['ece'])}."
    before, after = (share(scaling[when]["test"]["ece"]) for when in ("before", "after"))
    return f"Accuracy against stated probability in 15 bins; ECE {before} before and {after} after temperature scaling."


def _coverage(report: Report) -> str:
    rows: Sequence[Mapping[str, Any]] = report["test"]["coverage"]
    told = [row for row in rows if row["accuracy"] is not None][::3]
    return "Error when the least certain films are withheld: " + "; ".join(
        f"{per_cent(row['withheld_share'], 0)} withheld, {per_cent(1 - row['accuracy'])} wrong (n = {row['n']})"
        for row in told
    )


def _groups(report: Report) -> str:
    shown = [row for row in report["subgroups"] if row["accuracy"] is not None]
    worst, best = (pick(shown, key=lambda row: row["accuracy"]) for pick in (min, max))
    ends = (
        f"{row['by']} {row['group']} {with_interval(row['accuracy'], (row['lower'], row['upper']))}, n = {row['n']}"
        for row in (worst, best)
    )
    overall = report["test"]["overall"]["Accuracy"]
    return f"Accuracy in {count(len(shown))} groups; all films {share(overall)}. Worst and best: {'; '.join(ends)}."


WORDS: dict[str, tuple[str, Callable[[Report], str]]] = {
    figures.CURVES_FILE: ("Training curves", _curves),
    figures.CONFUSION_FILE: ("Confusion matrix", _confusion),
    figures.ROC_FILE: ("ROC curves", _roc),
    figures.PRECISION_RECALL_FILE: ("Precision-recall curves", _precision_recall),
    figures.RELIABILITY_FILE: ("Reliability", _reliability),
    figures.COVERAGE_FILE: ("Error against coverage", _coverage),
    figures.GROUPS_FILE: ("Accuracy by group", _groups),
}


def title(file: str) -> str:
    """Return the title of a figure by its file's name."""
    return WORDS[file][0]


def described(file: str, report: Report) -> str:
    """Return what a figure shows, by its file's name."""
    return WORDS[file][1](report)
