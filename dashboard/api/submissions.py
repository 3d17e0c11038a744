"""The HTTP door `/api/v1` for systems: hand studies over, ask how they stand. Its callers carry name and password."""

import json
from typing import Any

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnsupportedMediaType

from dashboard.accounts.access import SYSTEMS, requires, signed_in
from dashboard.accounts.accounts import Role
from dashboard.accounts.tokens import Scope
from dashboard.studies import submissions
from dashboard.studies.upload_page import files_of
from worker.database import reading, transaction
from worker.errors import RefusedSubmission
from worker.studies import outcomes, rejected_films
from worker.studies.records import Priority
from worker.submissions import intake
from worker.submissions.intake import Acceptance

#: Fields of a form that hold for all its films; `accession_number` and `accession_issuer` come beside them.
IDENTIFIERS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "patient_key")

blueprint = Blueprint("submissions", __name__, url_prefix="/api/v1")


@blueprint.post("/submissions")
@requires(SYSTEMS, basic=True, scope=Scope.SUBMIT, audited="submit", uploads=True)
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
    location = url_for("submissions.submission", submission_id=acceptance.submission_id)
    return acceptance.model_dump(), 202, {"Location": location}


@blueprint.get("/submissions/<submission_id>")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS)
def submission(submission_id: str) -> ResponseReturnValue:
    """Return how a submission stands and what came of it."""
    return _answer(submission_id)


@blueprint.get("/submissions")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS)
def submission_by_key() -> ResponseReturnValue:
    """Return the submission that was made under the sender's own `source` and `request_id`."""
    source = request.args.get("source", "")
    _require_own(source)
    request_id = request.args.get("request_id", "")
    with reading() as session:
        found = outcomes.find(session, source, request_id)
        refused = None if found else submissions.refused(session, source, request_id)
    if found is None and refused is None:
        abort(404)
    return refused or _answer(found or "")


@blueprint.post("/submissions/<submission_id>/cancel")
@requires(SYSTEMS, basic=True, scope=Scope.SUBMIT, audited="cancel submission")
def cancel(submission_id: str) -> ResponseReturnValue:
    """Withdraw the films that nobody has begun to score; they end rejected as `cancelled`."""
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

    Fields: `films`; `priority`; `source` and `request_id` as the sender's key; `callback`; the identifiers of
    `IDENTIFIERS` for all films, and `items`, a JSON list of objects with those of each.
    """
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
        identifiers=_identifiers(len(request.files.getlist("films"))),
        callback=request.form.get("callback") or None,
    )


def _identifiers(films: int) -> list[dict[str, object]]:
    """Return the identifiers of each film: those of the form, then those of its own entry in `items`."""
    shared: dict[str, object] = {name: request.form[name] for name in IDENTIFIERS if request.form.get(name)}
    if number := request.form.get("accession_number"):
        shared["accession"] = {"number": number, "issuer": request.form.get("accession_issuer") or None}
    try:
        entries = json.loads(request.form.get("items") or "[]")
    except ValueError as error:
        raise RefusedSubmission("invalid", "items: not JSON") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RefusedSubmission("invalid", "items: not a list of objects")
    return [{**shared, **entry} for entry in entries or [{}] * films]


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
