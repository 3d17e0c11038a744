"""A share of films with its exact interval, from counts alone."""

from worker.models.documents.document import Interval

#: The confidence level of every interval.
LEVEL = 0.95
UNDEFINED: Interval = (None, None)


def share(part: int, whole: int) -> float | None:
    """Return part / whole, or None if whole is 0."""
    return part / whole if whole else None


def exact_interval(part: int, whole: int) -> Interval:
    """Return the 95 % interval of Clopper and Pearson (1934) for `part` films of `whole`, as R's `binom.test` does.

    The ends are quantiles of the beta distribution, which agree with R in every digit; a search for the root would be
    less exact.
    """
    from scipy.stats import beta  # noqa: PLC0415 - half a second of import

    if not whole:
        return UNDEFINED
    tail = (1 - LEVEL) / 2
    lower = float(beta.ppf(tail, part, whole - part + 1)) if part else 0.0
    upper = float(beta.ppf(1 - tail, part + 1, whole - part)) if part < whole else 1.0
    return lower, upper
