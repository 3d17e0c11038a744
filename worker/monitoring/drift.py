"""Decides whether a day differs from the reference by more than chance, from counts and sums; reads no table.

A difference must be large enough to matter and too large to be chance. Both thresholds are below, with reasons.
"""

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import ClassVar, NamedTuple

from pydantic import Field

from worker.models.documents.document import Document

#: A mean that shifts by less than this many standard deviations of single films raises no alarm, however certain.
LEAST_SHIFT = 0.5
#: The least difference in standard errors. Chance alone exceeds it in one comparison of 16,000; a day has only a few
#: sources and figures.
CHANCE = 4.0
#: The least spread that is assumed, as a share of the mean: films of one detector have one size, and a spread of 0.
LEAST_SPREAD_SHARE = 0.02
#: With fewer films, a day's means, or its shares of classes, are not compared.
LEAST_FILMS, LEAST_FILMS_FOR_SHARES = 30, 100
#: The population stability index above which shares differ; by convention 0.1 means look and 0.25 means act.
GREAT_PSI = 0.25
#: The least rise of the rejected share that raises an alarm.
LEAST_RATE_RISE = 0.05
#: The fewest reviews that are judged, and the standard errors of the lower bound (99 %, two-sided).
LEAST_REVIEWS, REVIEW_BOUND = 20, 2.576
#: Added to the count of each class, so that an empty class has a logarithm.
HALF_A_FILM = 0.5


class Kind(StrEnum):
    """What drifted; the value is stable: it is stored, shown and scripted against."""

    GREY_MEAN = "grey_mean"
    GREY_SPREAD = "grey_spread"
    HEIGHT = "height"
    WIDTH = "width"
    CONFIDENCE = "confidence"  #: The highest probability of a film.
    REJECTIONS = "rejections"
    CLASSES = "classes"
    REVIEWS = "reviews"  #: Reviewers correct more results than were wrong on the test films.


MOMENTS = (Kind.GREY_MEAN, Kind.GREY_SPREAD, Kind.HEIGHT, Kind.WIDTH, Kind.CONFIDENCE)


class Moments(Document):
    """A figure over films, stored as sums so that days can be added."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """The mean; 0 without films."""
        return self.total / self.n if self.n else 0.0

    @property
    def spread(self) -> float:
        """The standard deviation of single films."""
        return math.sqrt(max(0.0, self.squares / self.n - self.mean**2)) if self.n else 0.0

    def __add__(self, other: "Moments") -> "Moments":
        """Return the figure over the films of both."""
        return Moments(n=self.n + other.n, total=self.total + other.total, squares=self.squares + other.squares)


class Day(Document):
    """The films of one source on one or more days, and the results of one version."""

    WRITES_DEFAULTS: ClassVar[bool] = True

    scored: int = 0
    rejected: int = 0
    #: By the kinds in `MOMENTS`.
    moments: dict[str, Moments] = Field(default_factory=dict)
    #: Films by the finding with the highest probability.
    labels: dict[str, int] = Field(default_factory=dict)

    def __add__(self, other: "Day") -> "Day":
        """Return both together."""
        kinds, findings = self.moments.keys() | other.moments.keys(), self.labels.keys() | other.labels.keys()
        none = Moments()
        return Day(
            scored=self.scored + other.scored,
            rejected=self.rejected + other.rejected,
            moments={kind: self.moments.get(kind, none) + other.moments.get(kind, none) for kind in sorted(kinds)},
            labels={name: self.labels.get(name, 0) + other.labels.get(name, 0) for name in sorted(findings)},
        )


class Alarm(NamedTuple):
    """One kind of drift, and a sentence with the figures behind the alarm."""

    kind: Kind
    reason: str


def alarms(day: Day, reference: Day) -> Iterator[Alarm]:
    """Yield an alarm for each kind of difference between a day and the reference."""
    for kind in MOMENTS:
        if reason := _shift(day.moments.get(kind, Moments()), reference.moments.get(kind, Moments())):
            yield Alarm(kind, reason)
    if reason := _rejections(day, reference):
        yield Alarm(Kind.REJECTIONS, reason)
    if reason := _classes(day.labels, reference.labels):
        yield Alarm(Kind.CLASSES, reason)


def _shift(day: Moments, reference: Moments) -> str | None:
    if day.n < LEAST_FILMS or reference.n < LEAST_FILMS:
        return None
    spread = max(reference.spread, LEAST_SPREAD_SHARE * abs(reference.mean))
    bound = max(LEAST_SHIFT, CHANCE * math.sqrt(1 / day.n + 1 / reference.n)) * spread
    if abs(day.mean - reference.mean) <= bound:
        return None
    return (
        f"mean {day.mean:.4g} of {day.n} films; the reference has {reference.mean:.4g} "
        f"(standard deviation {reference.spread:.4g}, {reference.n} films)"
    )


def _rejections(day: Day, reference: Day) -> str | None:
    films, known = day.scored + day.rejected, reference.scored + reference.rejected
    if films < LEAST_FILMS or known < LEAST_FILMS:
        return None
    rate, usual = day.rejected / films, reference.rejected / known
    pooled = (day.rejected + reference.rejected) / (films + known)
    error = math.sqrt(pooled * (1 - pooled) * (1 / films + 1 / known))
    if rate - usual <= max(LEAST_RATE_RISE, CHANCE * error):
        return None
    return f"{day.rejected} of {films} films rejected; in the reference {reference.rejected} of {known}"


def _classes(day: Mapping[str, int], reference: Mapping[str, int]) -> str | None:
    films, known = sum(day.values()), sum(reference.values())
    if films < LEAST_FILMS_FOR_SHARES or known < LEAST_FILMS_FOR_SHARES:
        return None
    names = sorted(day.keys() | reference.keys())
    index, most, greatest = 0.0, "", -1.0
    for name in names:
        share, usual = (
            (counts.get(name, 0) + HALF_A_FILM) / (whole + HALF_A_FILM * len(names))
            for counts, whole in ((day, films), (reference, known))
        )
        part = (share - usual) * math.log(share / usual)
        index += part
        if part > greatest:
            most, greatest = name, part
    if index <= GREAT_PSI:
        return None
    return (
        f"population stability index {index:.2f}; most of it from {most}: {day.get(most, 0)} of {films} films, "
        f"in the reference {reference.get(most, 0)} of {known}"
    )


def disagreement(corrected: int, reviews: int, expected: float) -> str | None:
    """Return a sentence if reviewers correct more results than expected, else None.

    Args:
        corrected: how many of the reviews correct the result.
        reviews: how many of the newest reviews are judged.
        expected: the share of results that were wrong on the version's test films, in [0, 1].
    """
    if reviews < LEAST_REVIEWS:
        return None
    share, z = corrected / reviews, REVIEW_BOUND
    # Wilson's lower bound.
    centre, half = share + z**2 / (2 * reviews), z * math.sqrt((share * (1 - share) + z**2 / (4 * reviews)) / reviews)
    if (centre - half) / (1 + z**2 / reviews) <= expected:
        return None
    return (
        f"{corrected} of the {reviews} newest reviews correct the result; "
        f"{expected:.0%} of the version's test films were wrong"
    )
