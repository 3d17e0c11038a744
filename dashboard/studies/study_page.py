"""The page of one study: its films, its probabilities at the operating points, and its reviews."""

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from dashboard.accounts.access import READERS, REVIEWERS, requires
from dashboard.row_ids import parse_row_id
from dashboard.studies.rows import classes, rows
from dashboard.studies.study import StudyWithFilms, find_study, other_studies
from worker.database import reading
from worker.models.operating_points import abstains, decisions, operating_points
from worker.studies import reviews

blueprint = Blueprint("study", __name__)

POLL_SECONDS = 5


@blueprint.get("/studies/<row_id:study_id>")
@requires(READERS, audited="view study")
def show(study_id: int) -> ResponseReturnValue:
    """Show one study with its films and their probabilities."""
    with reading() as session:
        study = find_study(session, study_id)
        if study is None:
            abort(404)
        return render_template("studies/study.html", **_context(session, study))


@blueprint.get("/studies/<row_id:study_id>/now")
@requires(READERS, polled=True)
def current(study_id: int) -> ResponseReturnValue:
    """Tell the page whether to reload: whether the number of finished films differs from `finished`."""
    with reading() as session:
        study_rows = rows(session, [study_id])
    if not study_rows:
        abort(404)
    return {"parts": {}, "reload": study_rows[0].finished_count != parse_row_id(request.args.get("finished"))}


def _context(session: Session, detail: StudyWithFilms) -> dict[str, object]:
    """Return the variables of the template."""
    study, films = detail.study, detail.films
    by_finding = decisions(detail.row.findings, operating_points(session, study.model_version_id))
    return {
        "study": study,
        "films": films,
        "models": detail.models,
        "row": detail.row,
        "decisions": by_finding,
        "abstains": abstains(by_finding),
        "classes": [decision.finding for decision in by_finding] or classes(session),
        "other_studies": other_studies(session, study),
        "reviews": reviews.of_study(session, study.id),
        "reviewers": REVIEWERS,
        "heat_maps": f"/studies/{study.id}/images/{{}}/heat-maps".format,
        "rejected": [film for film in films if film.image.rejection and film.image.state == "rejected"],
        "poll_seconds": POLL_SECONDS,
    }
