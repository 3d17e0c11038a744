"""The results pages: the list of studies, one study, and the previews of its films."""

from flask import Blueprint, abort, render_template, request, send_file
from flask.typing import ResponseReturnValue

from dashboard.access import READERS, requires
from dashboard.examinations import examination, preview_file
from dashboard.worklist import Filters, classes, page, row_id, rows
from worker.database import reading
from worker.records import Image, StudyState

studies = Blueprint("studies", __name__)

POLL_SECONDS = 5


@studies.get("/studies")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show the newest studies, narrowed by top finding and by state."""
    filters = Filters(
        finding=_finding(request.args.get("finding")),
        state=_state(request.args.get("state")),
        before=row_id(request.args.get("before")),
        after=row_id(request.args.get("after")),
    )
    with reading() as session:
        found, names = page(session, filters), classes(session)
    kept = {name: value for name, value in (("finding", filters.finding), ("state", filters.state)) if value}
    return render_template(
        "studies/index.html", page=found, filters=filters, kept=kept, classes=names, states=list(StudyState)
    )


@studies.get("/studies/<int(max=2147483647):study_id>")
@requires(READERS)
def show(study_id: int) -> ResponseReturnValue:
    """Show one study with its films and their probabilities."""
    with reading() as session:
        found = examination(session, study_id)
        if found is None:
            abort(404)
        return render_template("studies/show.html", examination=found, row=found.row, poll_seconds=POLL_SECONDS)


@studies.get("/studies/<int(max=2147483647):study_id>/now")
@requires(READERS, polled=True)
def current(study_id: int) -> ResponseReturnValue:
    """Tell the page of an unfinished study, which shows `finished` films, whether more are finished by now."""
    with reading() as session:
        found = rows(session, [study_id])
    if not found:
        abort(404)
    return {"parts": {}, "reload": found[0].finished_count != row_id(request.args.get("finished"))}


@studies.get("/films/<int(max=2147483647):image_id>/preview.jpg")
@requires(READERS)
def preview(image_id: int) -> ResponseReturnValue:
    """Return the small grey picture that the worker made of a film."""
    with reading() as session:
        image = session.get(Image, image_id)
    path = preview_file(image.sha256) if image else None
    if path is None:
        abort(404)
    return send_file(path, mimetype="image/jpeg")


def _finding(text: str | None) -> str | None:
    """Return the finding asked for; what no card can name (PostgreSQL takes no NUL) asks for none."""
    return text if text and text.isprintable() else None


def _state(text: str | None) -> StudyState | None:
    return StudyState(text) if text in set(StudyState) else None
