"""One study: its films, its probabilities at the operating points, what people said of it."""

from typing import Any

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.accounts.access import READERS, REVIEWERS, requires
from dashboard.row_ids import row_id
from dashboard.studies.operating_points import abstains, callings, operating_points
from dashboard.studies.rows import classes, rows
from dashboard.studies.study import Examination, earlier, examination
from worker.database import reading
from worker.studies import reviews

blueprint = Blueprint("study", __name__)

POLL_SECONDS = 5


@blueprint.get("/studies/<int(max=2147483647):study_id>")
@requires(READERS, audited="view study")
def show(study_id: int) -> ResponseReturnValue:
    """Show one study with its films and their probabilities."""
    with reading() as session:
        found = examination(session, study_id)
        if found is None:
            abort(404)
        return render_template("studies/study.html", **_context(session, found))


@blueprint.get("/studies/<int(max=2147483647):study_id>/now")
@requires(READERS, polled=True)
def current(study_id: int) -> ResponseReturnValue:
    """Tell the page of an unfinished study, which shows `finished` films, whether more are finished by now."""
    with reading() as session:
        found = rows(session, [study_id])
    if not found:
        abort(404)
    return {"parts": {}, "reload": found[0].finished_count != row_id(request.args.get("finished"))}


def _context(session: Session, found: Examination) -> dict[str, Any]:
    """Return what the page of a study shows."""
    said = callings(found.row.findings, operating_points(session, found.study.model_version_id))
    return {
        "examination": found,
        "row": found.row,
        "callings": said,
        "abstains": abstains(said),
        "classes": [entry.finding for entry in said] or classes(session),
        "earlier": earlier(session, found.study),
        "reviews": reviews.of_study(session, found.study.id),
        "reviewers": REVIEWERS,
        "heat_maps": f"/studies/{found.study.id}/images/{{}}/heat-maps".format,
        "rejected": [film for film in found.films if film.image.rejection and film.image.state == "rejected"],
        "poll_seconds": POLL_SECONDS,
    }
