"""What a probability means at a model version's operating points: called, uncertain and so not called, or not called.

The report of a version has two points for each class, both chosen on validation films: the higher of them calls the
finding, the lower rules it out. Between them the version abstains. Without points, nothing is called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.formatting import from_path
from worker.models.records import ModelVersion


class Call(StrEnum):
    """What a version says of a finding."""

    CALLED = "called"
    UNCERTAIN = "uncertain"
    NOT_CALLED = "not called"
    NO_POINT = "no operating point"


@dataclass(frozen=True)
class Point:
    """One operating point of one class, with what it is worth on the test films."""

    rule: str
    threshold: float
    sensitivity: float | None
    specificity: float | None
    n: int | None


@dataclass(frozen=True)
class Calling:
    """One finding of a study at its operating points."""

    finding: str
    probability: float
    #: The lowest threshold first.
    points: Sequence[Point]

    @property
    def call(self) -> Call:
        """Return what the version says of the finding."""
        reached = sum(self.probability >= point.threshold for point in self.points)
        if not self.points:
            return Call.NO_POINT
        if reached == len(self.points):
            return Call.CALLED
        return Call.UNCERTAIN if reached else Call.NOT_CALLED


def operating_points(session: Session, version_id: int | None) -> dict[str, list[Point]]:
    """Return a version's points by class, the lowest threshold first; the rest of the long report stays unread."""
    stored = session.scalar(select(ModelVersion.report["operating_points"]).where(ModelVersion.id == version_id))
    found: dict[str, list[Point]] = {}
    for row in stored if isinstance(stored, Sequence) else ():
        if isinstance(row, Mapping) and isinstance(row.get("threshold"), int | float):
            found.setdefault(str(row.get("class")), []).append(_point(row))
    return {name: sorted(points, key=lambda point: point.threshold) for name, points in found.items()}


def callings(findings: Sequence[tuple[str, float]], points: Mapping[str, Sequence[Point]]) -> list[Calling]:
    """Return findings with their points, in the order given."""
    return [Calling(finding, probability, points.get(finding, ())) for finding, probability in findings]


def abstains(found: Sequence[Calling]) -> bool:
    """Tell whether the version has points and calls nothing."""
    return any(entry.points for entry in found) and not any(entry.call == Call.CALLED for entry in found)


def _point(row: Mapping[str, Any]) -> Point:
    on_test = {name: from_path(row, "test", name) for name in ("sensitivity", "specificity", "n")}
    return Point(str(row.get("rule")), float(row["threshold"]), **on_test)
