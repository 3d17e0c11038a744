"""Errors as answers: pages for people, RFC 9457 problem details for systems. Says what to do, never what was inside."""

import json
import logging
import traceback
from http import HTTPStatus

from flask import Flask, Response, current_app, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError, SecurityError, ServiceUnavailable

from dashboard.accounts import access
from worker.database import is_outage
from worker.errors import RefusedSubmission

logger = logging.getLogger(__name__)

#: Seconds after which a client may try again when the database is out.
RETRY_AFTER_SECONDS = 5

#: Status -> what happened, and what to do about it.
EXPLANATIONS: dict[int, tuple[str, str]] = {
    400: ("This request cannot be read", "Go back, reload the page and try again."),
    401: ("Log in first", "Your session is over, or there was none."),
    403: ("Your role may not do this", "Ask an administrator if you need to."),
    404: ("There is no such page", "It may have been a mistyped address, or something that was never there."),
    405: ("This address does not answer that kind of request", "Go back and use the buttons of the page."),
    409: ("This does not fit how things stand now", "Somebody may have changed it in between. Go back and look again."),
    413: ("That is too large", "Hand fewer or smaller files over at once, or use `thoraq submit`."),
    415: ("This kind of content is not accepted", "Send JSON or files."),
    429: ("Too many failed log-ins", "Wait a quarter of an hour, then try again."),
    500: ("Something went wrong here", "It has been logged. Try again; if it stays, tell your operator."),
    503: ("The database does not answer", "Accepted studies are safe. This page tries again when you reload it."),
}

#: `RefusedSubmission.code` -> status of the answer.
REFUSALS = {"invalid": 400, "unsupported_schema": 422, "unknown_callback": 422, "conflict": 409}


def install(app: Flask) -> None:
    """Answer every error in the house's style."""
    app.register_error_handler(HTTPException, _answer)
    app.register_error_handler(CSRFError, _expired_form)
    app.register_error_handler(SecurityError, _foreign_host)
    app.register_error_handler(DBAPIError, _database_trouble)
    app.register_error_handler(RefusedSubmission, _refused)


def problem(status: int, title: str, detail: str | None = None, code: str | None = None) -> Response:
    """Return problem details (RFC 9457); `code` is stable and meant for programs."""
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
    """Tell whether the caller is a program: the HTTP door, or a page that refreshes itself."""
    declared = access.declared(current_app, request.endpoint)
    return request.path.startswith(("/api/", "/health/", "/metrics", "/schemas/")) or bool(declared and declared.polled)


def _answer(error: HTTPException) -> Response:
    """Return an HTTP error with its own headers (Allow, Retry-After, WWW-Authenticate) and our body."""
    original = error.get_response()
    status = original.status_code
    if status < HTTPStatus.BAD_REQUEST:  # A redirect, raised by the routing.
        return Response(original.get_data(), status, original.headers)
    title, advice = EXPLANATIONS.get(status, (error.name, "Go back and try again."))
    if wants_problem():
        answer = problem(status, error.name, error.description)
    else:
        page = render_template("error.html", status=status, title=title, advice=advice)
        answer = Response(page, status, content_type="text/html; charset=utf-8")
    for name, value in original.headers:
        if name not in {"Content-Type", "Content-Length"}:
            answer.headers[name] = value
    return answer


def _expired_form(error: CSRFError) -> Response:
    """Answer a form whose token is missing, foreign or of an earlier session."""
    error.description = "The form's token is missing or belongs to another session."
    return _answer(error)


def _foreign_host(_error: SecurityError) -> Response:
    """Answer a request for a host name that is not ours, without a page: under that name, no page has an address."""
    if request.path.startswith("/api/"):
        return problem(HTTPStatus.BAD_REQUEST, "Bad Request", "This host name is not served here.")
    return Response("This host name is not served here.\n", HTTPStatus.BAD_REQUEST, content_type="text/plain")


def _refused(error: RefusedSubmission) -> Response:
    """Answer a submission that cannot be accepted as it is."""
    status = REFUSALS.get(error.code, 400)
    if wants_problem():
        return problem(status, error.code.replace("_", " ").capitalize(), error.detail, error.code)
    page = render_template("error.html", status=status, title="This submission was refused", advice=error.detail)
    return Response(page, status)


def _database_trouble(error: DBAPIError) -> Response:
    """Answer 503 when the database is out, 500 for a fault of ours; parameters may identify somebody: not logged."""
    if isinstance(error, DataError):  # A character or a number that the database cannot hold: it came from outside.
        return _answer(BadRequest("The request holds a value that cannot be stored."))
    where = "".join(traceback.format_tb(error.__traceback__)[-3:])
    if is_outage(error):
        logger.warning("the database is out: %s", type(error.orig).__name__)
        return _answer(ServiceUnavailable("The database does not answer.", retry_after=RETRY_AFTER_SECONDS))
    logger.error("%s in %s\n%s", type(error.orig).__name__, error.statement, where)
    return _answer(InternalServerError())
