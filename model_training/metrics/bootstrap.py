"""The bootstrap by patients: draws patients with replacement, each with all of their films. A seed makes it repeatable.

A statistic is a function that takes how often each film was drawn and returns its values.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_training.metrics.intervals import LEVEL, UNDEFINED
from worker.models.documents.document import Interval
from worker.models.documents.evaluation import Bootstrap

#: Enough for the ends of a 95 % interval (Efron and Tibshirani 1993, section 13.3, ask for 1,000 and more).
RESAMPLES = 2000
SEED = 0
#: Number of weights that are computed at once, films times resamples: 16 MB as doubles.
BLOCK = 2_000_000
#: The share of the resamples in which a statistic must be defined for it to have an interval.
LEAST_SHARE = 0.5

Values = npt.NDArray[np.float64]
#: Takes how often each film was drawn, shape (resamples, n); returns shape (resamples, values), NaN where undefined.
Statistic = Callable[[Values], Values]


@dataclass(frozen=True)
class Resampling:
    """Which films are drawn together, how often, and from which seed."""

    #: Index of each film's unit, shape (n,): its patient, or the film itself if the patient is unknown.
    unit_of: npt.NDArray[np.int64]
    #: "patient" if any patient is known, else "film".
    unit: str
    resamples: int = RESAMPLES
    seed: int = SEED

    @property
    def units(self) -> int:
        """Number of units to draw from."""
        return int(self.unit_of.max()) + 1

    def units_with(self, films: npt.NDArray[np.bool_]) -> int:
        """Return how many units have at least one of these films."""
        return len(np.unique(self.unit_of[films]))

    def distribution(self, statistic: Statistic) -> Values:
        """Return the values of the statistic in every resample, shape (resamples, values)."""
        return np.concatenate([statistic(weights) for weights in self._blocks()])

    def described(self) -> Bootstrap:
        """Return how the films were resampled, for a report."""
        return Bootstrap(resamples=self.resamples, seed=self.seed, unit=self.unit, units=self.units)

    def _blocks(self) -> Iterator[Values]:
        draws = np.random.default_rng(self.seed)
        size = max(1, BLOCK // len(self.unit_of))
        for start in range(0, self.resamples, size):
            rows = min(size, self.resamples - start)
            drawn = draws.integers(0, self.units, (rows, self.units)) + np.arange(rows)[:, None] * self.units
            counts = np.bincount(drawn.ravel(), minlength=rows * self.units).reshape(rows, self.units)
            yield counts[:, self.unit_of].astype(np.float64)


def resampling(n: int, patients: Sequence[str | None] | None = None) -> Resampling:
    """Return the resampling of n films.

    Args:
        n: at least 1.
        patients: the patient of each film; a film whose patient is unknown (None or empty) is a unit of its own.

    Raises:
        ValueError: there are more or fewer patients than films.
    """
    if patients is None:
        return Resampling(np.arange(n), "film")
    if len(patients) != n:
        raise ValueError(f"{len(patients)} patients for {n} films")
    index: dict[str | int, int] = {}
    unit_of = [index.setdefault(patient or film, len(index)) for film, patient in enumerate(patients)]
    return Resampling(np.array(unit_of, np.int64), "patient" if any(patients) else "film")


def percentile_interval(values: Values) -> Interval:
    """Return the central 95 % of a statistic's values, shape (resamples,).

    Undefined resamples are left out, which equals drawing again until a resample is complete. Both ends are None if
    more than half are undefined or all have the same value, because then the spread is unknown.
    """
    known = values[np.isfinite(values)]
    if len(known) < LEAST_SHARE * len(values) or np.ptp(known) < np.finfo(float).eps:
        return UNDEFINED
    tail = (1 - LEVEL) / 2
    lower, upper = np.quantile(known, [tail, 1 - tail])
    return float(lower), float(upper)
