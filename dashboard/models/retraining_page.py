"""The training page: request a run, see its progress, cancel it; the nightly schedule and its results."""

from collections.abc import Sequence

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import IntegerField, StringField, SubmitField
from wtforms.validators import Length, NumberRange, Optional, Regexp

from dashboard.accounts.access import READERS, TRAINERS, requires, signed_in
from worker.database import reading
from worker.models import promotion, retraining_runs
from worker.models.documents.retraining import RunRequest
from worker.models.records import RetrainingRun
from worker.settings import settings

blueprint = Blueprint("retraining", __name__, url_prefix="/training")

POLL_SECONDS = 5
MAX_EPOCHS = 1000


class RunForm(FlaskForm):  # type: ignore[misc]
    """The options of a run; an empty field takes the value from the trainer's settings."""

    data = StringField(
        "Data",
        [Optional(), Length(max=1024), Regexp(r"^/[^\x00-\x1f\x7f]*$", message="Enter an absolute path.")],
        description="A folder on the trainer's host with train, validation and test. Empty: as configured.",
        render_kw={"placeholder": "as configured", "autocomplete": "off", "spellcheck": "false"},
    )
    network = StringField(
        "Network",
        [Optional(), Regexp(r"^[a-z0-9][a-z0-9.-]{0,31}$", message="Enter a name from the list of thoraq networks.")],
        description="A name from the list of thoraq networks. Empty: as configured.",
        render_kw={"placeholder": "as configured", "autocomplete": "off", "spellcheck": "false"},
    )
    epochs = IntegerField(
        "Epochs",
        [Optional(), NumberRange(1, MAX_EPOCHS)],
        description="Empty: the default of the network.",
        render_kw={"placeholder": "as configured", "min": 1, "max": MAX_EPOCHS},
    )
    submit = SubmitField("Retrain now")


@blueprint.get("/")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show the runs, and the form that requests one."""
    return _page(RunForm())


@blueprint.get("/now")
@requires(READERS, polled=True)
def current() -> ResponseReturnValue:
    """Return the state of the newest run, and the part of the page that shows the runs."""
    runs = _recent_runs()
    newest = runs[0] if runs else None
    unfinished = any(run.state in retraining_runs.UNFINISHED for run in runs)
    return {
        # The form of the page is enabled only while no run is unfinished.
        "reload": ("unfinished" in request.args) != unfinished,
        "newest": {"id": newest.id, "state": newest.state, "epochs_done": newest.epochs_done} if newest else None,
        "parts": {"runs": render_template("models/_runs.html", **_context(runs))},
    }


@blueprint.post("/")
@requires(TRAINERS, audited="ask for a retraining")
def retrain() -> ResponseReturnValue:
    """Request a run; if one is unfinished, no second one is started."""
    form = RunForm()
    if not form.validate_on_submit():
        return _page(form, 400)
    run_request = RunRequest(data=form.data.data or None, network=form.network.data or None, epochs=form.epochs.data)
    run_id = retraining_runs.ask(by=signed_in().name, request=run_request)
    flash(f"Run {run_id} was requested. The trainer starts it as soon as it is free.", "success")
    return redirect(url_for("retraining.index"), 303)


@blueprint.get("/<row_id:run_id>")
@requires(READERS)
def show(run_id: int) -> ResponseReturnValue:
    """Show one run: its options, its log, and the gate's verdict on its candidate."""
    with reading() as session:
        run = session.get(RetrainingRun, run_id, options=[joinedload(RetrainingRun.candidate)]) or abort(404)
        verdict = promotion.latest(session, run.candidate_id) if run.candidate_id else None
        return render_template("models/run.html", run=run, verdict=verdict, events=list(run.events))


@blueprint.post("/<row_id:run_id>/cancel")
@requires(TRAINERS, audited="cancel a retraining")
def cancel(run_id: int) -> ResponseReturnValue:
    """Ask the trainer to stop a run; its checkpoint is kept."""
    if retraining_runs.cancel(run_id, signed_in().name):
        flash(f"Run {run_id} stops before its next batch.", "info")
    else:
        flash(f"Run {run_id} has already ended.", "info")
    return redirect(url_for("retraining.index"), 303)


def _page(form: RunForm, status: int = 200) -> ResponseReturnValue:
    context = _context(_recent_runs())
    return render_template("models/retraining.html", form=form, poll_seconds=POLL_SECONDS, **context), status


def _recent_runs() -> Sequence[RetrainingRun]:
    with reading() as session:
        runs = retraining_runs.recent(session)
        for run in runs:
            run.candidate  # noqa: B018 - loads it while the session is open
    return runs


def _context(runs: Sequence[RetrainingRun]) -> dict[str, object]:
    nightly = select(RetrainingRun).where(RetrainingRun.night.is_not(None)).order_by(RetrainingRun.night.desc())
    with reading() as session:
        nights = list(session.scalars(nightly.options(joinedload(RetrainingRun.candidate)).limit(7)))
    return {
        "runs": runs,
        "nights": nights,
        "unfinished": [run for run in runs if run.state in retraining_runs.UNFINISHED],
        "nightly_at": settings().nightly_at,
        "timezone": settings().timezone,
        "trainers": TRAINERS,
    }
