"""The HTTP door `/api/v1` for systems: hand studies over, ask how they stand. Its callers carry name and password."""

from typing import Any

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnsupportedMediaType

from dashboard import submissions
from dashboard.access import SYSTEMS, requires, signed_in
from dashboard.accounts import Role
from dashboard.uploads import files_of
from worker import intake
from worker.database import reading
from worker.errors import RefusedSubmission
from worker.intake import Acceptance
from worker.records import Priority

api = Blueprint("api", __name__, url_prefix="/api/v1")


@api.post("/submissions")
@requires(SYSTEMS, basic=True, uploads=True)
def submit() -> ResponseReturnValue:
    """Accept an envelope (JSON) or films (multipart): 202, and where their progress can be asked for."""
    if request.is_json:
        message = request.get_json()
        _require_own(message.get("source") if isinstance(message, dict) else None)
        acceptance = intake.accept(message)
    elif request.mimetype == "multipart/form-data":
        acceptance = _submit_files()
    else:
        raise UnsupportedMediaType("Send application/json or multipart/form-data.")
    location = url_for("api.submission", submission_id=acceptance.submission_id)
    return acceptance.model_dump(), 202, {"Location": location}


@api.get("/submissions/<submission_id>")
@requires(SYSTEMS, basic=True)
def submission(submission_id: str) -> ResponseReturnValue:
    """Return how a submission stands and what came of it."""
    return _answer(submission_id)


@api.get("/submissions")
@requires(SYSTEMS, basic=True)
def submission_by_key() -> ResponseReturnValue:
    """Return the submission that was made under the sender's own `source` and `request_id`."""
    source = request.args.get("source", "")
    _require_own(source)
    with reading() as session:
        found = submissions.find(session, source, request.args.get("request_id", ""))
    if found is None:
        abort(404)
    return _answer(found)


def _submit_files() -> Acceptance:
    """Accept the films of a form: fields `films`, `priority`, and `source` and `request_id` as the sender's key."""
    priority = request.form.get("priority", "routine")
    if priority.upper() not in Priority.__members__:
        raise RefusedSubmission("invalid", "priority: one of urgent, routine, offpeak")
    source = request.form.get("source") or signed_in().name
    _require_own(source)
    return intake.submit_files(
        files_of(request.files.getlist("films")),
        source=source,
        request_id=request.form.get("request_id") or None,
        priority=Priority[priority.upper()],
    )


def _require_own(source: object) -> None:
    """Refuse a system that speaks for another: keys and results belong to their source."""
    if signed_in().role == Role.UPSTREAM and source and source != signed_in().name:
        abort(403, "An upstream account sends and asks under its own name as source.")


def _answer(submission_id: str) -> dict[str, Any]:
    with reading() as session:
        current = submissions.progress(session, submission_id)
        if current is None:
            abort(404)
        _require_own(current.submission.source)
        return submissions.answer(session, current)
