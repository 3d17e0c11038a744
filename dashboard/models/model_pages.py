"""The pages of model versions: all of them, two compared, and the card, curves and report of one."""

from datetime import timedelta

from flask import Blueprint, abort, redirect, render_template, request, send_from_directory, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.accounts.access import READERS, TRAINERS, requires
from dashboard.headers import FIGURE_POLICY, REPORT_POLICY
from dashboard.models.reports import by_group, headline, side_by_side, splits
from worker.database import now, reading
from worker.models import promotion, registry
from worker.models.documents.evaluation import CLASS_COLUMNS
from worker.models.paper import ROWS
from worker.models.records import Activation, ModelVersion
from worker.monitoring import drift_by_day
from worker.settings import settings

blueprint = Blueprint("models", __name__, url_prefix="/models")

#: The figures in the directory of a version that may be served, with their titles.
FIGURES = {
    "curves.svg": "Training curves",
    "confusion.svg": "Confusion matrix",
    "roc.svg": "ROC curves",
    "precision_recall.svg": "Precision-recall curves",
    "reliability.svg": "Reliability",
    "coverage.svg": "Error against coverage",
    "groups.svg": "Accuracy by group",
}
#: The page of the whole report, and the files that it loads from its own directory.
REPORT_PAGE = "report.html"
REPORT_FILES = {REPORT_PAGE: "text/html", "report.css": "text/css", **dict.fromkeys(FIGURES, "image/svg+xml")}
MAX_ACTIVATIONS = 20
#: Drift alarms of this many days are shown.
ALARM_DAYS, MAX_ALARMS = 14, 20


@blueprint.get("/")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show every registered version, newest first."""
    with reading() as session:
        versions = list(session.scalars(select(ModelVersion).order_by(ModelVersion.id.desc())))
        active = registry.active(session)
        activations = _activations(session)
        alarms = drift_by_day.recent_alarms(session, now().date() - timedelta(days=ALARM_DAYS))[:MAX_ALARMS]
        return render_template(
            "models/versions.html",
            models=[(model, *headline(model.report, model.card)) for model in versions],
            active_id=active.id if active else None,
            activations=activations,
            alarms=alarms,
            alarm_days=ALARM_DAYS,
            trainers=TRAINERS,
            paper=list(ROWS.values()),
            ours=versions,
        )


@blueprint.get("/compare")
@requires(READERS)
def compare() -> ResponseReturnValue:
    """Show two versions side by side: by default the active one and the newest of the others."""
    with reading() as session:
        versions = list(session.scalars(select(ModelVersion).order_by(ModelVersion.id.desc())))
        active_id = registry.active_id(session)
    if not versions:
        return redirect(url_for("models.index"))
    by_name = {model.version: model for model in versions}
    active = next((model for model in versions if model.id == active_id), versions[0])
    one = by_name.get(request.args.get("one", ""), active)
    other = by_name.get(request.args.get("other", ""), next((m for m in versions if m.id != one.id), one))
    return render_template(
        "models/compare.html",
        versions=list(by_name),
        one=one,
        other=other,
        one_figures=_figures(one.version),
        other_figures=_figures(other.version),
        active_id=active_id,
        same_films=one.card.data_fingerprint == other.card.data_fingerprint,
        figures=side_by_side(one, other),
        paper=list(ROWS.values()),
        ours=[one, other],
    )


@blueprint.get("/<version>")
@requires(READERS)
def show(version: str) -> ResponseReturnValue:
    """Show the card, the limits, the curves and the report of one version."""
    with reading() as session:
        model = registry.find(session, version)
        if model is None:
            abort(404)
        active = registry.active(session)
        verdict = promotion.latest(session, model.id)
    return render_template(
        "models/version.html",
        verdict=verdict,
        trainers=TRAINERS,
        model=model,
        card=model.card,
        active=active is not None and active.id == model.id,
        splits=splits(model.report),
        groups=by_group(model.report),
        columns=(*CLASS_COLUMNS, "AUROC"),
        figures=_figures(version),
        report_page=REPORT_PAGE if (settings().models_dir / version / REPORT_PAGE).is_file() else None,
    )


@blueprint.get("/<version>/figures/<name>")
@requires(READERS)
def figure(version: str, name: str) -> ResponseReturnValue:
    """Return a figure from the training run of a registered version."""
    with reading() as session:
        model = registry.find(session, version)
    if model is None or name not in FIGURES:
        abort(404)
    answer = send_from_directory(settings().models_dir / model.version, name, mimetype="image/svg+xml")
    answer.headers["Content-Security-Policy"] = FIGURE_POLICY
    return answer


@blueprint.get("/<version>/report/<name>")
@requires(READERS)
def report(version: str, name: str) -> ResponseReturnValue:
    """Return the report page of a registered version, or a file that this page loads."""
    with reading() as session:
        model = registry.find(session, version)
    if model is None or name not in REPORT_FILES:
        abort(404)
    answer = send_from_directory(settings().models_dir / model.version, name, mimetype=REPORT_FILES[name])
    answer.headers["Content-Security-Policy"] = REPORT_POLICY if name == REPORT_PAGE else FIGURE_POLICY
    return answer


def _figures(version: str) -> dict[str, str]:
    """Return the figures of a version: file name -> title."""
    return {name: title for name, title in FIGURES.items() if (settings().models_dir / version / name).is_file()}


def _activations(session: Session) -> list[Activation]:
    activations = list(session.scalars(select(Activation).order_by(Activation.id.desc()).limit(MAX_ACTIVATIONS)))
    for activation in activations:
        activation.model_version  # noqa: B018 - loads it while the session is open
    return activations
