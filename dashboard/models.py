"""The pages of the model registry: all versions, and one version's card, curves and evaluation report."""

from flask import Blueprint, abort, render_template, send_from_directory
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.access import READERS, requires
from dashboard.reports import CLASS_COLUMNS, by_group, headline, splits
from dashboard.security import FIGURE_POLICY, REPORT_POLICY
from worker import registry
from worker.database import reading
from worker.records import Activation, ModelVersion
from worker.settings import settings

models = Blueprint("models", __name__, url_prefix="/models")

#: What a version's directory may show of itself.
FIGURES = {
    "curves.svg": "Training curves",
    "confusion.svg": "Confusion matrix",
    "roc.svg": "ROC curves",
    "precision_recall.svg": "Precision-recall curves",
    "reliability.svg": "Reliability",
    "coverage.svg": "Error against coverage",
    "groups.svg": "Accuracy by group",
}
#: The whole report as a page, and what it asks for by names beside its own.
REPORT_PAGE = "report.html"
REPORT_FILES = {REPORT_PAGE: "text/html", "report.css": "text/css", **dict.fromkeys(FIGURES, "image/svg+xml")}
MAX_ACTIVATIONS = 20


@models.get("/")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show every registered version, the newest first."""
    with reading() as session:
        found = list(session.scalars(select(ModelVersion).order_by(ModelVersion.id.desc())))
        active = registry.active(session)
        activations = _activations(session)
        return render_template(
            "models/index.html",
            models=[(model, *headline(model.report, model.card)) for model in found],
            active_id=active.id if active else None,
            activations=activations,
        )


@models.get("/<version>")
@requires(READERS)
def show(version: str) -> ResponseReturnValue:
    """Show one version: its card, its limits, its curves and its report."""
    with reading() as session:
        model = registry.find(session, version)
        if model is None:
            abort(404)
        active = registry.active(session)
    return render_template(
        "models/show.html",
        model=model,
        card=model.card,
        active=active is not None and active.id == model.id,
        splits=splits(model.report),
        groups=by_group(model.report),
        columns=(*CLASS_COLUMNS, "AUROC"),
        figures={name: title for name, title in FIGURES.items() if (settings().models_dir / version / name).is_file()},
        report_page=REPORT_PAGE if (settings().models_dir / version / REPORT_PAGE).is_file() else None,
    )


@models.get("/<version>/figures/<name>")
@requires(READERS)
def figure(version: str, name: str) -> ResponseReturnValue:
    """Return a figure that the training run of a registered version drew."""
    with reading() as session:
        model = registry.find(session, version)
    if model is None or name not in FIGURES:
        abort(404)
    answer = send_from_directory(settings().models_dir / model.version, name, mimetype="image/svg+xml")
    answer.headers["Content-Security-Policy"] = FIGURE_POLICY
    return answer


@models.get("/<version>/report/<name>")
@requires(READERS)
def report(version: str, name: str) -> ResponseReturnValue:
    """Return the page that the training run of a registered version wrote, or what that page asks for."""
    with reading() as session:
        model = registry.find(session, version)
    if model is None or name not in REPORT_FILES:
        abort(404)
    answer = send_from_directory(settings().models_dir / model.version, name, mimetype=REPORT_FILES[name])
    answer.headers["Content-Security-Policy"] = REPORT_POLICY if name == REPORT_PAGE else FIGURE_POLICY
    return answer


def _activations(session: Session) -> list[Activation]:
    found = list(session.scalars(select(Activation).order_by(Activation.id.desc()).limit(MAX_ACTIVATIONS)))
    for activation in found:
        activation.model_version  # noqa: B018 - loaded while the session is open
    return found
