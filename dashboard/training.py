"""The training page: recent retraining runs, and the button that asks for one."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dashboard.access import READERS, TRAINERS, requires, signed_in
from worker import retraining
from worker.database import reading
from worker.run_records import RunState

training = Blueprint("training", __name__, url_prefix="/training")

POLL_SECONDS = 5


@training.get("/")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show the recent runs."""
    return render_template("training/index.html", poll_seconds=POLL_SECONDS, trainers=TRAINERS, **_context())


@training.get("/now")
@requires(READERS, polled=True)
def current() -> ResponseReturnValue:
    """Return the state of the newest run, and the part of the page that shows the runs."""
    context = _context()
    newest = context["runs"][0] if context["runs"] else None
    unfinished = bool(context["unfinished"])
    return {
        # The button above the runs was drawn for another state of affairs.
        "reload": ("unfinished" in request.args) != unfinished,
        "newest": {"id": newest.id, "state": newest.state, "epochs_done": newest.epochs_done} if newest else None,
        "parts": {"runs": render_template("training/_runs.html", **context)},
    }


@training.post("/")
@requires(TRAINERS)
def retrain() -> ResponseReturnValue:
    """Ask for a retraining run; an unfinished one is not doubled."""
    run_id = retraining.ask(by=signed_in().name)
    flash(f"Run {run_id} was asked for. The trainer takes it up as soon as it is free.", "success")
    return redirect(url_for("training.index"), 303)


def _context() -> dict[str, Any]:
    with reading() as session:
        runs = retraining.recent(session)
        for run in runs:
            run.candidate  # noqa: B018 - loaded while the session is open
    return {"runs": runs, "unfinished": [run for run in runs if run.state in {RunState.ASKED, RunState.RUNNING}]}
