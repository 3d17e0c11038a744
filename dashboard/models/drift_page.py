"""The drift page: the films and results of a source day by day, beside the reference, with the alarms."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.accounts.access import READERS, requires
from dashboard.studies import filters
from worker.database import now, reading
from worker.models.records import ModelVersion
from worker.monitoring import drift_by_day
from worker.monitoring.drift import MOMENTS, Day, Kind
from worker.settings import settings

blueprint = Blueprint("drift", __name__)

DAYS = 30


@dataclass(frozen=True)
class Line:
    """The films of one day, or of the reference, as the page shows them."""

    #: The day; None: the reference.
    day: date | None
    figures: Day
    #: What drifted, with the reason for the alarm.
    alarms: Mapping[str, str]

    @property
    def films(self) -> int:
        """Return how many films were finished."""
        return self.figures.scored + self.figures.rejected

    @property
    def rejected_share(self) -> float | None:
        """Return the share of the films that was rejected; None without films."""
        return self.figures.rejected / self.films if self.films else None

    def mean(self, kind: Kind) -> float | None:
        """Return the mean of a figure over the films; None if no film has it."""
        moments = self.figures.moments.get(kind)
        return moments.mean if moments and moments.n else None

    def share(self, finding: str) -> float | None:
        """Return the share of the scored films whose top finding is `finding`; None without films."""
        return self.figures.labels.get(finding, 0) / self.figures.scored if self.figures.scored else None


# The former address is redirected.
@blueprint.get("/watch", alias=True)
@blueprint.get("/drift")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show the last days of one source, or of all sources together."""
    source = request.args.get("source", drift_by_day.EVERY_SOURCE)
    today = now().astimezone(ZoneInfo(settings().timezone)).date()
    with reading() as session:
        lines = _lines(session, source, today) if source.isprintable() else {}
        return render_template(
            "models/drift.html",
            source=source,
            sources=filters.sources(session),
            versions=[(session.get_one(ModelVersion, version), days) for version, days in lines.items()],
            kinds=list(MOMENTS),
            days=DAYS,
            needed=drift_by_day.REFERENCE_FILMS,
        )


def _lines(session: Session, source: str, today: date) -> dict[int, list[Line]]:
    """Return the lines of each version: its reference, if there is one, then its days, newest first."""
    since = today - timedelta(days=DAYS)
    reasons: dict[tuple[date, int], dict[str, str]] = defaultdict(dict)
    for alarm in drift_by_day.recent_alarms(session, since):
        if alarm.source == source:
            reasons[alarm.day, alarm.model_version_id][alarm.kind] = alarm.reason
    lines: dict[int, list[Line]] = defaultdict(list)
    for row in reversed(drift_by_day.days(session, source, since)):
        version = row.model_version_id
        if version not in lines and (reference := drift_by_day.reference_of(session, source, version, before=today)):
            lines[version].append(Line(None, reference, {}))
        lines[version].append(Line(row.day, row.figures, reasons[row.day, version]))
    return lines
