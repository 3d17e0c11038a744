"""The API for submitting: systems submit films, read the progress of a submission, and cancel it."""

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnsupportedMediaType

from dashboard.accounts.access import SYSTEMS, requires, signed_in
from dashboard.accounts.accounts import Role
from dashboard.accounts.tokens import Scope
from dashboard.api import json_bodies
from dashboard.studies import submissions
from worker.database import reading, transaction
from worker.errors import RefusedSubmission
from worker.studies import outcomes, rejected_films
from worker.studies.records import Priority
from worker.submissions import intake
from worker.submissions.intake import Acceptance

#: Form fields that apply to every film of the form, beside `accession_number` and `accession_issuer`.
IDENTIFIERS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "patient_key")

blueprint = Blueprint("submissions", __name__, url_prefix="/api/v1")


@blueprint.post("/submissions")
@requires(SYSTEMS, basic=True, scope=Scope.SUBMIT, audited="submit", uploads=True)
def submit() -> ResponseReturnValue:
    """Accept an envelope (JSON) or films (multipart): 202, with the address of the submission in `Location`."""
    if request.is_json:
        with json_bodies.message() as message:
            _require_own(message.get("source") if isinstance(message, dict) else None)
            acceptance = intake.accept(message)
    elif request.mimetype == "multipart/form-data":
        acceptance = _submit_files()
    else:
        raise UnsupportedMediaType("Send application/json or multipart/form-data.")
    location = url_for("submissions.submission", submission_id=acceptance.submission_id)
    return acceptance.model_dump(), 202, {"Location": location}


@blueprint.get("/submissions/<submission_id>")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS, audited="view submission")
def submission(submission_id: str) -> ResponseReturnValue:
    """Return the progress and the results of a submission."""
    return _answer(submission_id)


@blueprint.get("/submissions")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS, audited="find submission")
def submission_by_key() -> ResponseReturnValue:
    """Return the submission with this `source` and `request_id`."""
    source = request.args.get("source", "")
    _require_own(source)
    request_id = request.args.get("request_id", "")
    with reading() as session:
        submission_id = outcomes.find(session, source, request_id)
        refused = None if submission_id else submissions.refused(session, source, request_id)
    if submission_id is None and refused is None:
        abort(404)
    return refused or _answer(submission_id or "")


@blueprint.post("/submissions/<submission_id>/cancel")
@requires(SYSTEMS, basic=True, scope=Scope.SUBMIT, audited="cancel submission")
def cancel(submission_id: str) -> ResponseReturnValue:
    """Cancel the films that are still waiting; they are rejected as `cancelled`."""
    with reading() as session:
        current = submissions.progress(session, submission_id)
    if current is None:
        abort(404)
    _require_own(current.submission.source)
    while True:
        with transaction() as session:
            if not rejected_films.cancel(session, submission_id, signed_in().name):
                return _answer(submission_id)


def _submit_files() -> Acceptance:
    """Accept the films of a form.

    Its fields are `films`, `priority`, `source`, `request_id`, `callback`, the `IDENTIFIERS` of all films, and `items`:
    a JSON list with an object for each film, which has the identifiers of this film alone.
    """
    priority = request.form.get("priority", "routine")
    if priority.upper() not in Priority.__members__:
        raise RefusedSubmission("invalid", "priority must be urgent, routine or offpeak")
    source = request.form.get("source") or signed_in().name
    _require_own(source)
    return intake.submit_files(
        submissions.uploaded_files(request.files.getlist("films")),
        source=source,
        request_id=request.form.get("request_id") or None,
        priority=Priority[priority.upper()],
        identifiers=_identifiers(len(request.files.getlist("films"))),
        callback=request.form.get("callback") or None,
    )


def _identifiers(films: int) -> list[dict[str, object]]:
    """Return the identifiers of each film: those of the form, overridden by those of its entry in `items`."""
    shared: dict[str, object] = {name: request.form[name] for name in IDENTIFIERS if request.form.get(name)}
    if number := request.form.get("accession_number"):
        shared["accession"] = {"number": number, "issuer": request.form.get("accession_issuer") or None}
    entries = json_bodies.loads(request.form.get("items", "[]").encode() or b"[]")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RefusedSubmission("invalid", "items is not a list of objects")
    return [{**shared, **entry} for entry in entries or [{}] * films]


def _require_own(source: object) -> None:
    """Answer 403 to a system that names another system as `source`: submissions belong to their source."""
    if signed_in().role == Role.UPSTREAM and source and source != signed_in().name:
        abort(403, "An upstream account may only use its own name as source.")


def _answer(submission_id: str) -> dict[str, object]:
    with reading() as session:
        current = submissions.progress(session, submission_id)
        if current is None:
            abort(404)
        _require_own(current.submission.source)
        return submissions.answer(session, current)
