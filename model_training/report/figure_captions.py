"""Describes a report's figures in words and numbers, for readers who cannot see them."""

from collections.abc import Callable

from model_training.report import figures
from model_training.report.formatting import count, per_cent, share, with_interval
from worker.models.documents.report import Report


def _curves(report: Report) -> str:
    history, kept = report.history, report.kept_epoch
    epoch = next(epoch for epoch in history if epoch.epoch == kept)
    return (
        f"Loss and accuracy per epoch over {len(history)} epochs. Kept: epoch {kept}, with loss {share(epoch.loss)} "
        f"in training and {share(epoch.val_loss)} on validation, accuracy {share(epoch.accuracy)} and "
        f"{share(epoch.val_accuracy)}."
    )


def _confusion(report: Report) -> str:
    test = report.tested
    right = ", ".join(
        f"{name} {test.table[index][index]} of {sum(row[index] for row in test.table)}"
        for index, name in enumerate(test.classes)
    )
    return f"Confusion matrix of {test.n} films, rows predicted, columns reference. Named rightly: {right}."


def _roc(report: Report) -> str:
    areas = "; ".join(
        f"{name} (n = {row.n_positive}) {with_interval(row.auroc, row.auroc_interval)}"
        for name, row in (report.tested.roc or {}).items()
    )
    return f"ROC curves. Areas with 95 % intervals: {areas}."


def _precision_recall(report: Report) -> str:
    areas = "; ".join(
        f"{name} (n = {row.n_positive}) {with_interval(row.auprc, row.auprc_interval)}"
        for name, row in (report.tested.roc or {}).items()
    )
    return f"Precision-recall curves. Areas with 95 % intervals: {areas}."


def _reliability(report: Report) -> str:
    scaling = report.calibration
    if not scaling:
        return f"Accuracy against stated probability in 15 bins; ECE {share(report.tested.ece)}."
    before, after = (share(calibrations["test"].ece) for calibrations in (scaling.before, scaling.after))
    return f"Accuracy against stated probability in 15 bins; ECE {before} before and {after} after temperature scaling."


def _coverage(report: Report) -> str:
    steps = [(step, step.accuracy) for step in report.tested.coverage if step.accuracy is not None]
    return "Error when the least certain films are withheld: " + "; ".join(
        f"{per_cent(step.withheld_share, 0)} withheld, {per_cent(1 - accuracy)} wrong (n = {step.n})"
        for step, accuracy in steps[::3]
    )


def _groups(report: Report) -> str:
    shown = [row for row in report.subgroups if row.accuracy is not None]
    worst, best = (pick(shown, key=lambda row: row.accuracy or 0) for pick in (min, max))
    ends = (f"{row.by} {row.group} {with_interval(row.accuracy, row.interval)}, n = {row.n}" for row in (worst, best))
    overall = report.tested.overall.accuracy
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
