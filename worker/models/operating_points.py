"""Decisions at a model version's operating points: a finding is called, uncertain, or not called.

The report of a version has two operating points for each class, both chosen on validation films. From the higher
threshold on, the finding is called; below the lower one, it is not called; between them it is uncertain, and so not
called either. A version without operating points calls nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from worker.models import registry


class Call(StrEnum):
    """The decision about one finding."""

    CALLED = "called"
    UNCERTAIN = "uncertain"
    NOT_CALLED = "not called"
    NO_POINT = "no operating point"


@dataclass(frozen=True)
class Point:
    """One operating point of one class, with its sensitivity and specificity on the `n` test films (None: unknown)."""

    rule: str
    threshold: float
    sensitivity: float | None
    specificity: float | None
    n: int | None


@dataclass(frozen=True)
class Decision:
    """The probability of one finding of a study beside the operating points of its class."""

    finding: str
    probability: float
    #: In the order of their thresholds, the lowest first.
    points: Sequence[Point]

    @property
    def call(self) -> Call:
        """Return whether the finding is called."""
        reached = sum(self.probability >= point.threshold for point in self.points)
        if not self.points:
            return Call.NO_POINT
        if reached == len(self.points):
            return Call.CALLED
        return Call.UNCERTAIN if reached else Call.NOT_CALLED


def operating_points(session: Session, version_id: int | None) -> dict[str, list[Point]]:
    """Return a version's points by class, the lowest threshold first; reads only this part of the long report."""
    by_class: dict[str, list[Point]] = {}
    for point in registry.operating_points(session, version_id):
        if point.threshold is not None:
            test = point.test
            by_class.setdefault(point.class_name, []).append(
                Point(point.rule, point.threshold, test.sensitivity, test.specificity, test.n)
            )
    return {name: sorted(points, key=lambda point: point.threshold) for name, points in by_class.items()}


def decisions(findings: Sequence[tuple[str, float]], points: Mapping[str, Sequence[Point]]) -> list[Decision]:
    """Return the decision for each finding, in the same order."""
    return [Decision(finding, probability, points.get(finding, ())) for finding, probability in findings]


def abstains(by_finding: Sequence[Decision]) -> bool:
    """Return whether the version has operating points, but calls no finding."""
    return any(decision.points for decision in by_finding) and not any(
        decision.call == Call.CALLED for decision in by_finding
    )
