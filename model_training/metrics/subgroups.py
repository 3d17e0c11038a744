"""Results within groups of films: by source, view, sex and age. For small groups only n is given.

Reads a manifest's rows as mappings and takes probabilities as arrays.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels
from model_training.metrics.bootstrap import resampling
from model_training.metrics.calibration import Probabilities
from model_training.metrics.evaluation import balanced_accuracy
from model_training.metrics.intervals import UNDEFINED, exact_interval
from model_training.metrics.roc import macro_auroc
from worker.models.documents.report import Subgroup

#: A group with fewer films has no figures: the exact interval of an accuracy near 0.5 would be wider than 0.46.
LEAST_FILMS = 20
NOT_STATED = "not stated"
#: The manifest's column of each grouping; age is grouped in bands.
COLUMNS = {"source": "source_repo", "view": "view", "sex": "sex"}
AGE_COLUMN = "age_years"
#: First year of each band and its name: children, and adults in four bands.
AGE_BANDS = ((0, "under 16"), (16, "16 to 39"), (40, "40 to 59"), (60, "60 to 74"), (75, "75 and over"))


def attributes(rows: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return each film's group by source, view, sex and age, from its row of a manifest; `{}` if it has none."""
    groups = {name: [row.get(column) or NOT_STATED for row in rows] for name, column in COLUMNS.items()}
    return {**groups, "age": [age_band(row.get(AGE_COLUMN) or "") for row in rows]}


def age_band(years: str) -> str:
    """Return the band of an age in years, or `not stated` if the text is no age."""
    try:
        age = float(years)
    except ValueError:
        return NOT_STATED
    names = [name for first, name in AGE_BANDS if age >= first]
    return names[-1] if names else NOT_STATED


def subgroups(
    probabilities: Probabilities,
    truth: Labels,
    classes: Sequence[str],
    attributes: Mapping[str, Sequence[str]],
    patients: Sequence[str | None] | None = None,
) -> list[Subgroup]:
    """Return the figures of every group by grouping: the largest group first, but ages in ascending order.

    `gap` is the accuracy in the group minus that of all films. The macro AUROC is over the classes that the group has
    (`classes_present` names them), so groups with different classes cannot be compared. A grouping that no film states
    is left out.

    Args:
        probabilities: shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).
        classes: names, in the order of the columns.
        attributes: the group of each film, by the name of the grouping.
        patients: the patient of each film, None or empty if unknown.
    """
    overall = float((probabilities.argmax(axis=1) == truth).mean())
    rows = []
    for by, groups in attributes.items():
        if set(groups) == {NOT_STATED}:
            continue
        names = np.asarray(groups)
        members = [(str(name), names == name) for name in np.unique(names)]
        for name, member in sorted(members, key=lambda group: _rank(by, *group)):
            known = None if patients is None else [patients[film] for film in np.flatnonzero(member).tolist()]
            present = tuple(classes[label] for label in np.unique(truth[member]))
            group = Subgroup(by=by, group=name, n=int(member.sum()), classes_present=present)
            rows.append(group.model_copy(update=_figures(probabilities[member], truth[member], known, overall)))
    return rows


def _rank(by: str, name: str, member: npt.NDArray[np.bool_]) -> tuple[int, int, str]:
    """Return the sort key: `not stated` last, ages in their order, other groups by size."""
    bands = [band for _, band in AGE_BANDS]
    order = bands.index(name) if by == "age" and name in bands else -int(member.sum())
    return int(name == NOT_STATED), order, name


def _figures(
    probabilities: Probabilities, truth: Labels, patients: Sequence[str | None] | None, overall: float
) -> dict[str, object]:
    n, predicted = len(truth), probabilities.argmax(axis=1)
    if n < LEAST_FILMS:
        names = ("accuracy", "lower", "upper", "gap", "balanced_accuracy", "macro_auroc")
        return {"suppressed": True, **dict.fromkeys(names), "macro_auroc_interval": UNDEFINED}
    right = int((predicted == truth).sum())
    lower, upper = exact_interval(right, n)
    area, interval = macro_auroc(probabilities, truth, resampling(n, patients))
    return {
        "suppressed": False,
        "accuracy": right / n,
        "lower": lower,
        "upper": upper,
        "gap": right / n - overall,
        "balanced_accuracy": balanced_accuracy(predicted, truth),
        "macro_auroc": area,
        "macro_auroc_interval": interval,
    }
