"""Error responses: pages for people, problem details (RFC 9457) for systems. They reveal nothing internal."""

import json
import logging
import traceback
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, current_app, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError, SecurityError, ServiceUnavailable

from dashboard.accounts import access
from worker.database import is_outage
from worker.errors import NotConfigured, NotStored, RefusedSubmission
from worker.storage import disk

logger = logging.getLogger(__name__)

#: A client may try again after this time when the database does not answer.
RETRY_AFTER_SECONDS = 5
#: The same when the disk is full: somebody must make room.
DISK_RETRY_AFTER_SECONDS = 60

#: Where the server says with which status to answer a request whose body it did not take.
UNREAD_BODY = "thoraq.unread_body"

#: For a program whose request may have changed something.
UNKNOWN_EFFECT = (
    "The database does not answer, and it is not known whether the request took effect. Send it again: "
    "a submission with the same request_id and content is accepted once."
)

#: Status -> (what happened, what to do about it).
EXPLANATIONS: dict[int, tuple[str, str]] = {
    400: ("The request is not valid", "Go back, reload the page and try again."),
    401: ("Please log in", "Your session has expired, or you have not logged in."),
    403: ("Your role does not allow this", "Ask an administrator if you need it."),
    404: ("Page not found", "The address may be mistyped, or the page no longer exists."),
    405: ("This request is not allowed here", "Go back and use the buttons of the page."),
    409: ("This is no longer possible", "Somebody may have changed it in the meantime. Go back and reload the page."),
    413: ("The upload is too large", "Upload fewer or smaller files at once, or use `thoraq submit`."),
    415: ("This type of content is not accepted", "Send JSON or files."),
    429: ("Too many failed log-ins", "Wait 15 minutes, then try again."),
    500: ("Something went wrong", "The error was logged. Try again; if it happens again, tell your operator."),
    503: ("This is not possible at the moment", "Accepted studies are safe. Reload the page to try again."),
    507: ("There is no room for more films", "Nothing was accepted. Tell your operator, and try again later."),
}
#: Status -> `code` of the problem, unless a more exact one is known.
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    415: "unsupported_content",
    429: "too_many_failures",
    500: "internal_error",
    503: "unavailable",
    507: "storage_full",
}

#: What happened, where a status has several causes.
CAUSES = {"database_unavailable": "The database does not answer", "storage_unavailable": "The disk cannot be written"}

#: `RefusedSubmission.code` -> status of the answer.
REFUSALS = {"invalid": 400, "too_large": 413, "unsupported_schema": 422, "unknown_callback": 422, "conflict": 409}


class InsufficientStorage(HTTPException):
    """507: the disk has no room for an upload."""

    code = HTTPStatus.INSUFFICIENT_STORAGE
    description = "The disk has no room. Nothing was accepted."

    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - as werkzeug's
        """Return the headers of the answer."""
        return [*super().get_headers(*arguments, **options), ("Retry-After", str(DISK_RETRY_AFTER_SECONDS))]


def install(app: Flask) -> None:
    """Register the handlers that turn errors into pages or problem details."""
    app.register_error_handler(HTTPException, _answer)
    app.register_error_handler(CSRFError, _invalid_form)
    app.register_error_handler(SecurityError, _unknown_host)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(RefusedSubmission, _refused)
    app.register_error_handler(NotConfigured, _not_configured)
    app.register_error_handler(NotStored, _not_stored)
    app.register_error_handler(OSError, _file_error)


def refuse_unread_body() -> None:
    """Answer a request whose body the server did not take; called once the caller is known.

    Raises:
        HTTPException: the server's reason.
    """
    status = request.environ.get(UNREAD_BODY)
    if status is None:
        return
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        raise InsufficientStorage
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise ServiceUnavailable("Too much is being received.", retry_after=RETRY_AFTER_SECONDS)
    abort(status)


def problem(status: int, title: str, detail: str | None = None, code: str | None = None) -> Response:
    """Return problem details (RFC 9457); `code` is stable: programs may compare it."""
    body = {
        "type": f"urn:thoraq:problem:{code}" if code else "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    text = json.dumps({name: value for name, value in body.items() if value is not None})
    return Response(text + "\n", status, content_type="application/problem+json")


def wants_problem() -> bool:
    """Return whether the caller is a program: a client of the API, or a page that refreshes itself."""
    declared = access.declared(current_app, request.endpoint)
    return request.path.startswith(("/api/", "/health/", "/metrics", "/schemas/")) or bool(declared and declared.polled)


def _answer(error: HTTPException, code: str | None = None, advice: str | None = None) -> Response:
    """Return the response to an HTTP error, with the error's headers (Allow, Retry-After, WWW-Authenticate).

    Args:
        error: its description is for programs; a page explains the status.
        code: of the problem; None for that of the status.
        advice: what to do about it, on a page; None means what `EXPLANATIONS` says.
    """
    original = error.get_response()
    status = original.status_code
    if status < HTTPStatus.BAD_REQUEST:  # A redirect, raised by the routing.
        return Response(original.get_data(), status, original.headers)
    title, usual = EXPLANATIONS.get(status, (error.name, "Go back and try again."))
    if wants_problem():
        answer = problem(status, error.name, error.description, code or CODES.get(status))
    else:
        title = CAUSES.get(code or "", title)
        page = render_template("error.html", status=status, title=title, advice=advice or usual)
        answer = Response(page, status, content_type="text/html; charset=utf-8")
    for name, value in original.headers:
        if name not in {"Content-Type", "Content-Length"}:
            answer.headers[name] = value
    return answer


def _invalid_form(error: CSRFError) -> Response:
    """Answer 400 to a form whose token is missing, or from another session."""
    error.description = "The form's token is missing or belongs to another session."
    return _answer(error)


def _unknown_host(_error: SecurityError) -> Response:
    """Answer 400 to a request with an unknown host name; in plain text, since a page would have links to that host."""
    if request.path.startswith("/api/"):
        return problem(HTTPStatus.BAD_REQUEST, "Bad Request", "This host name is not served here.", "unknown_host")
    return Response("This host name is not served here.\n", HTTPStatus.BAD_REQUEST, content_type="text/plain")


def _refused(error: RefusedSubmission) -> Response:
    """Answer a submission that was refused."""
    status = REFUSALS.get(error.code, 400)
    if wants_problem():
        return problem(status, error.code.replace("_", " ").capitalize(), error.detail, error.code)
    page = render_template("error.html", status=status, title="This submission was refused", advice=error.detail)
    return Response(page, status)


def _not_configured(error: NotConfigured) -> Response:
    """Answer 503: the database was changed under this process, or it is one that this version cannot use."""
    logger.error("no request can be answered: %s", error)
    return _answer(ServiceUnavailable("This version of Thoraq cannot use the database."), "database_unavailable")


def _not_stored(error: NotStored) -> Response:
    """Answer 507 if the disk is full, 503 if it is read-only or broken."""
    logger.error("nothing can be accepted: %s", error)
    if error.full:
        return _answer(InsufficientStorage())
    text = "The disk cannot be written. Nothing was accepted."
    return _answer(ServiceUnavailable(text, retry_after=DISK_RETRY_AFTER_SECONDS), "storage_unavailable")


def _file_error(error: OSError) -> Response:
    """Answer trouble with the disk as such, for example while an upload is received. Any other OSError is ours."""
    if error.errno not in disk.TROUBLE:
        raise error
    return _not_stored(NotStored(f"a file cannot be stored: {disk.explain(error)}", full=error.errno in disk.FULL))


def _database_error(error: DBAPIError) -> Response:
    """Answer 503 if the database is down, else 500. Parameters are not logged: they may identify a patient."""
    if isinstance(error, DataError):  # The request has a character or a number that the database cannot store.
        return _answer(BadRequest("The request holds a value that cannot be stored."))
    where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    if is_outage(error):
        logger.warning("the database does not answer: %s", type(error.orig).__name__)
        unavailable = ServiceUnavailable("The database does not answer.", retry_after=RETRY_AFTER_SECONDS)
        if request.method == "POST":  # The answer to a COMMIT may have been lost.
            unavailable.description = UNKNOWN_EFFECT
            advice = "It is not known whether this was stored. Go back and look before you repeat it."
            return _answer(unavailable, "database_unavailable", advice)
        return _answer(unavailable, "database_unavailable")
    logger.error("%s in %s\n%s", type(error.orig).__name__, error.statement, where)
    return _answer(InternalServerError())
