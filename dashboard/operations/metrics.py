"""`GET /metrics`: the state of the queue and of the deployment for Prometheus, from SQL.

Workers export the metrics of their own work.
"""

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import copy

from flask import Blueprint, Response, abort, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from dashboard.accounts import sessions
from dashboard.accounts.access import public
from dashboard.operations import backlog, process_status
from worker.database import reading
from worker.models import registry
from worker.models.records import ModelVersion
from worker.monitoring import drift_by_day
from worker.monitoring.drift import Day, Kind
from worker.submissions import set_aside_messages

blueprint = Blueprint("metrics", __name__)

#: The metrics that this process counts itself; the second name is deprecated.
WAKEUPS = ["thoraq_wakeups_total", "thoraq_bells_total"]


@blueprint.get("/metrics")
@public
def scrape() -> ResponseReturnValue:
    """Return the metrics if the request carries `THORAQ_METRICS_TOKEN`; 404 if that is not set."""
    _require_token()
    with reading() as session:
        figures = CollectorRegistry()
        figures.register(DeploymentCollector(session))
        text = generate_latest(figures)
    if sessions.settings().dashboard_processes == 1:  # Each of several processes counts only its own wake-ups.
        text += generate_latest(REGISTRY.restricted_registry(WAKEUPS))
    return Response(text, content_type=CONTENT_TYPE_LATEST)


def _require_token() -> None:
    token = sessions.settings().metrics_token
    if token is None:
        abort(404)
    given = request.authorization
    carried = given.token if given and given.type == "bearer" else None
    if not hmac.compare_digest((carried or "").encode(), token.get_secret_value().encode()):
        raise Unauthorized(www_authenticate=WWWAuthenticate("bearer"))


class DeploymentCollector(Collector):
    """The metrics of one scrape, read through its session."""

    def __init__(self, session: Session) -> None:
        """Keep the session of the scrape."""
        self._session = session

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._films()
        yield from self._deployment()
        yield from self._drift()

    def _films(self) -> Iterator[Metric]:
        session = self._session
        unfinished = backlog.count_unfinished(session)
        yield _gauge("queue_films", "Films that are not finished.", ["state", "priority"], unfinished)
        age = backlog.oldest_waiting_seconds(session)
        yield GaugeMetricFamily(
            "thoraq_oldest_waiting_seconds", "Age of the oldest waiting film; 0 if none waits.", age
        )
        yield _gauge(
            "finished_films_5m",
            "Films finished in the last five minutes; a rejected film has its reason.",
            ["state", "reason"],
            backlog.count_recently_finished(session),
        )

    def _deployment(self) -> Iterator[Metric]:
        session = self._session
        # The label `life` is the former name of `status`; it will be removed in 0.2.0.
        yield _gauge(
            "processes",
            "Processes by status: up, unknown or down.",
            ["kind", "status", "life"],
            {(kind, status, status): n for (kind, status), n in process_status.count_processes(session).items()},
        )
        yield _gauge(
            "set_aside_messages",
            "The newest messages that no process could run, by where they stood and what is wrong with them.",
            ["place", "flaw"],
            set_aside_messages.counts(session),
        )
        stalled = process_status.workers(session).stalled
        yield GaugeMetricFamily("thoraq_stalled_workers", "Workers that are up and finish no waiting film.", stalled)
        if (sweep := process_status.sweep_age_seconds(session)) is not None:
            yield GaugeMetricFamily("thoraq_last_sweep_seconds", "Time since the last sweep ended.", sweep)
        if (active := registry.active(session)) is not None:
            info = {"version": active.version, "trained_on": active.card.trained_on}
            yield InfoMetricFamily("thoraq_active_model", "The active model version.", info)

    def _drift(self) -> Iterator[Metric]:
        """Yield the figures of the newest complete day by source, beside those of the reference if there is one."""
        session = self._session
        common = ["source", "version"]
        films = GaugeMetricFamily("thoraq_drift_films", "Films of the last day.", labels=[*common, "state"])
        means = GaugeMetricFamily("thoraq_drift_mean", "Means over a day's films.", labels=[*common, "figure", "of"])
        shares = GaugeMetricFamily("thoraq_drift_share", "Films by top finding.", labels=[*common, "finding", "of"])
        rows = drift_by_day.newest_days(session)
        for row in rows:
            labels = [row.source, session.get_one(ModelVersion, row.model_version_id).version]
            day = row.figures
            films.add_metric([*labels, "scored"], day.scored)
            films.add_metric([*labels, "rejected"], day.rejected)
            reference = drift_by_day.reference_of(session, row.source, row.model_version_id, before=row.day)
            for of, figures in (("day", day), ("reference", reference or Day())):
                for kind, moments in figures.moments.items():
                    if moments.n:
                        means.add_metric([*labels, kind, of], moments.mean)
                for finding, count in figures.labels.items():
                    shares.add_metric([*labels, finding, of], count / figures.scored)
        for family in (films, means, shares):
            yield family
            yield _under_former_name(family)
        raised = Counter(alarm.kind for alarm in (drift_by_day.recent_alarms(session, rows[0].day) if rows else ()))
        alarms = GaugeMetricFamily("thoraq_drift_alarms", "Drift alarms of the last day.", labels=["kind"])
        for kind in Kind:
            alarms.add_metric([kind.value], raised[kind])
        yield alarms


def _under_former_name(family: GaugeMetricFamily) -> GaugeMetricFamily:
    """Return a copy named `thoraq_watched_...`, as before version 0.1.0; exported until 0.2.0."""
    former = copy(family)
    former.name = family.name.replace("thoraq_drift_", "thoraq_watched_")
    former.documentation = f"Deprecated: use {family.name}."
    former.samples = [sample._replace(name=former.name) for sample in family.samples]
    return former


def _gauge(
    name: str, text: str, labels: list[str], values: Mapping[tuple[str, str], int] | Mapping[tuple[str, str, str], int]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"thoraq_{name}", text, labels=labels)
    for label_values, value in sorted(values.items()):
        family.add_metric(list(label_values), value)
    return family
