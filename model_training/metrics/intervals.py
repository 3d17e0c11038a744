"""A share of films with its exact interval. Knows counts only."""

#: Of every interval that is stated.
LEVEL = 0.95
#: Lower and upper end; both None where there is nothing to say.
Interval = list[float | None]
UNDEFINED: tuple[None, None] = (None, None)


def share(part: int, whole: int) -> float | None:
    """Return part / whole, None of nothing."""
    return part / whole if whole else None


def exact_interval(part: int, whole: int) -> Interval:
    """Return the 95 % interval of Clopper and Pearson (1934) for `part` films of `whole`, as R's `binom.test` does.

    It is written with the quantiles of the beta distribution, which holds it to R's digits where a search for the
    root stops earlier.
    """
    from scipy.stats import beta  # noqa: PLC0415 - half a second of import

    if not whole:
        return list(UNDEFINED)
    tail = (1 - LEVEL) / 2
    lower = float(beta.ppf(tail, part, whole - part + 1)) if part else 0.0
    upper = float(beta.ppf(1 - tail, part + 1, whole - part)) if part < whole else 1.0
    return [lower, upper]
