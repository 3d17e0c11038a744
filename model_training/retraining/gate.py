"""The gate: whether a candidate may take the active version's place, judged on the same locked films, with reasons.

It rejects a candidate that is worse, or that has too few films to show that it is not. Takes probabilities.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels
from model_training.metrics.bootstrap import resampling
from model_training.metrics.calibration import Probabilities, calibration_error
from model_training.metrics.comparison import compare
from model_training.report.formatting import share
from worker.models.documents.evaluation import Headline
from worker.models.documents.verdict import (
    CalibrationComparison,
    Difference,
    SensitivityTest,
    ShownFigures,
    Verdict,
)

#: How many patients of each class the gate needs before it judges.
LEAST_PATIENTS_PER_CLASS = 10
#: How much lower macro AUROC may be, at the lower end of the 95 % interval of the difference.
AUROC_MARGIN = 0.02
#: How often chance alone may reject a candidate that is as sensitive, for all classes together (Bonferroni).
SIGNIFICANCE = 0.05
#: An expected calibration error that is always accepted, and by how much a higher one may exceed the active version's.
GOOD_CALIBRATION, CALIBRATION_MARGIN = 0.10, 0.02
#: The operating points for comparing sensitivities; each version has chosen its own on its validation films.
RULE = "Youden"


@dataclass(frozen=True)
class Contestant:
    """One version and its predictions for the gate's films."""

    version: str
    #: In the order of the columns.
    classes: tuple[str, ...]
    #: Shape (n, classes).
    probabilities: Probabilities
    #: The threshold of the operating point, by class.
    thresholds: Mapping[str, float]
    trained_on: str
    #: Figures on films that decide nothing, by split.
    shown: Mapping[str, Headline] = field(default_factory=dict)


@dataclass(frozen=True)
class Films:
    """The films of the gate."""

    #: Index of each film's class, shape (n,).
    truth: Labels
    classes: tuple[str, ...]
    #: The patient of each film; None if unknown.
    patients: Sequence[str | None]
    #: SHA-256 of each locked split.
    fingerprints: Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """Candidate and active version on the same films, their predictions under the films' classes."""

    films: Films
    candidate: Contestant
    active: Contestant


#: Returns figures for the verdict, and the reasons against the candidate.
Criterion = Callable[[Pair], tuple[dict[str, object], list[str]]]


def judge(
    films: Films,
    candidate: Contestant,
    active: Contestant | None,
    *,
    known_fingerprints: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Verdict:
    """Return the verdict on a candidate: passed or not, the reasons against it, and the figures behind them.

    Args:
        films: the gate's films.
        candidate: the version to be judged.
        active: the version that it would replace; None if no version is active.
        known_fingerprints: those of the last verdict; a locked split that changed is a reason against the candidate.
        notes: what a reader must know beside the figures.
    """
    verdict: dict[str, object] = {
        "candidate": candidate.version,
        "active": active.version if active else None,
        "n": len(films.truth),
        "films": {name: int((films.truth == index).sum()) for index, name in enumerate(films.classes)},
        "fingerprints": dict(films.fingerprints),
        "shown": ShownFigures(candidate=dict(candidate.shown), active=dict(active.shown) if active else {}),
        "notes": tuple(notes),
    }
    reasons = [*_changed(films.fingerprints, known_fingerprints or {}), *_too_few(films)]
    reasons += _unequal(films, candidate, active)
    if not reasons and active is not None:
        pair = Pair(films, _aligned(candidate, films.classes), _aligned(active, films.classes))
        for criterion in (_macro_auroc, _sensitivity, _calibration, _missing):
            figures, against = criterion(pair)
            verdict |= figures
            reasons += against
    return Verdict.model_validate({**verdict, "passed": not reasons, "reasons": tuple(reasons)})


def _changed(now: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    return [
        f"the films of {split} are not those of the last verdict ({before[split][:12]}, now {print_[:12]})"
        for split, print_ in now.items()
        if before.get(split, print_) != print_
    ]


def _too_few(films: Films) -> list[str]:
    """Count patients; a film whose patient is unknown counts as one."""
    if not len(films.truth):
        return ["the gate has no film"]
    drawn = resampling(len(films.truth), films.patients)
    patients = {name: drawn.units_with(films.truth == index) for index, name in enumerate(films.classes)}
    return [
        f"the gate has films of {count} patient{'s' * (count != 1)} with {name}, too few to judge: "
        f"{LEAST_PATIENTS_PER_CLASS} are needed"
        for name, count in patients.items()
        if count < LEAST_PATIENTS_PER_CLASS
    ]


def _unequal(films: Films, candidate: Contestant, active: Contestant | None) -> list[str]:
    if active is None:
        return ["there is no active version to compare with"]
    missing = sorted((set(active.classes) | set(films.classes)) - set(candidate.classes))
    reasons = [f"the candidate does not know {name}" for name in missing]
    if candidate.trained_on != active.trained_on:
        reasons.append(f"the candidate learned from {candidate.trained_on}, the active version {active.trained_on}")
    return reasons


def _aligned(contestant: Contestant, classes: tuple[str, ...]) -> Contestant:
    """Return a contestant whose columns are the films' classes; a class that it does not know has probability 0."""
    columns = np.zeros((len(contestant.probabilities), len(classes)), np.float32)
    for index, name in enumerate(classes):
        if name in contestant.classes:
            columns[:, index] = contestant.probabilities[:, contestant.classes.index(name)]
    return Contestant(contestant.version, classes, columns, contestant.thresholds, contestant.trained_on)


def _macro_auroc(pair: Pair) -> tuple[dict[str, object], list[str]]:
    """Check that macro AUROC is not worse, by the paired bootstrap over patients."""
    comparison = compare(
        pair.active.probabilities,
        pair.candidate.probabilities,
        pair.films.truth,
        pair.films.classes,
        names=(pair.active.version, pair.candidate.version),
        patients=pair.films.patients,
    )
    macro = comparison.differences.macro_auroc
    figures: dict[str, object] = {
        "macro_auroc": macro,
        "accuracy": comparison.differences.accuracy,
        "bootstrap": comparison.bootstrap,
        "auroc_margin": AUROC_MARGIN,
    }
    return figures, _auroc_reasons(macro)


def _auroc_reasons(macro: Difference) -> list[str]:
    lower, upper = macro.interval
    difference = macro.difference or 0.0
    figures = f"macro AUROC {share(macro.b)}, the active version's {share(macro.a)}"
    if lower is None or upper is None:  # Every resample has the same value, so the spread is unknown or 0.
        return [] if difference >= 0 else [f"{figures}: worse"]
    figures += f" (difference {difference:+.3f}, 95 % interval {lower:+.3f} to {upper:+.3f})"
    if upper < 0:
        return [f"{figures}: worse"]
    return [] if lower >= -AUROC_MARGIN else [f"{figures}: too few films to say that it is not worse by {AUROC_MARGIN}"]


def _sensitivity(pair: Pair) -> tuple[dict[str, object], list[str]]:
    """Check that no class's sensitivity at its operating point is worse, by McNemar's exact test, one-sided."""
    rows, reasons = {}, []
    for index, name in enumerate(pair.films.classes):
        positive = pair.films.truth == index
        alerts = [
            one.probabilities[positive, index] >= one.thresholds.get(name, np.inf)
            for one in (pair.candidate, pair.active)
        ]
        row = _paired(*alerts).model_copy(update={"threshold": pair.candidate.thresholds.get(name)})
        rows[name] = row
        if name not in pair.candidate.thresholds:
            reasons.append(f"the candidate has no operating point for {name}")
        elif row.p < SIGNIFICANCE / len(pair.films.classes):
            reasons.append(
                f"sensitivity for {name} {share(row.candidate)}, the active version's {share(row.active)}: worse "
                f"(P = {row.p:.2g}, {row.n} films)"
            )
    return {"sensitivity": rows, "rule": RULE, "significance": SIGNIFICANCE}, reasons


def _paired(candidate: npt.NDArray[np.bool_], active: npt.NDArray[np.bool_]) -> SensitivityTest:
    from scipy.stats import binomtest  # noqa: PLC0415 - half a second of import

    lost, gained = int((active & ~candidate).sum()), int((candidate & ~active).sum())
    p = float(binomtest(lost, lost + gained, alternative="greater").pvalue) if lost + gained else 1.0
    return SensitivityTest(
        n=len(candidate),
        candidate=float(candidate.mean()),
        active=float(active.mean()),
        lost=lost,
        gained=gained,
        p=p,
    )


def _calibration(pair: Pair) -> tuple[dict[str, object], list[str]]:
    of_candidate, of_active = (
        calibration_error(one.probabilities, pair.films.truth) for one in (pair.candidate, pair.active)
    )
    bound = max(GOOD_CALIBRATION, of_active + CALIBRATION_MARGIN)
    figures: dict[str, object] = {
        "calibration": CalibrationComparison(candidate=of_candidate, active=of_active, bound=bound)
    }
    if of_candidate <= bound:
        return figures, []
    return figures, [
        f"calibration error {share(of_candidate)}, the active version's {share(of_active)}: beyond {bound:.3f}"
    ]


def _missing(pair: Pair) -> tuple[dict[str, object], list[str]]:
    predicted = set(pair.candidate.probabilities.argmax(axis=1).tolist())
    never = [name for index, name in enumerate(pair.films.classes) if index not in predicted]
    return {"never_predicted": tuple(never)}, [f"the candidate never predicts {name}" for name in never]
