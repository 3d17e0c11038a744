"""Who may use which endpoint: each declares it, and one that declares nothing is refused. Deny by default."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Flask, abort, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from dashboard import sessions
from dashboard.accounts import Role, User

READERS = frozenset({Role.VIEWER, Role.CLINICIAN, Role.SCIENTIST, Role.ADMIN})
SENDERS = frozenset({Role.CLINICIAN, Role.SCIENTIST, Role.ADMIN})
TRAINERS = frozenset({Role.SCIENTIST, Role.ADMIN})
SYSTEMS = SENDERS | {Role.UPSTREAM}

#: Endpoints of the libraries: style sheets and scripts, which the log-in page needs too.
STATIC_ENDPOINTS = frozenset({"static", "bootstrap.static"})
_ATTRIBUTE = "thoraq_access"

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])


@dataclass(frozen=True)
class Access:
    """What an endpoint demands of who calls it."""

    #: None: everybody, without an account.
    roles: frozenset[Role] | None
    #: By name and password in every request (systems), not by session cookie (people).
    basic: bool = False
    #: Called by a page on its own: answers with JSON and keeps no session alive.
    polled: bool = False
    #: Takes files, so its requests may be large.
    uploads: bool = False


def public(view: View) -> View:
    """Declare that everybody may call an endpoint."""
    vars(view)[_ATTRIBUTE] = Access(roles=None)
    return view


def requires(
    roles: frozenset[Role], *, basic: bool = False, polled: bool = False, uploads: bool = False
) -> Callable[[View], View]:
    """Declare the roles that may call an endpoint."""

    def declare(view: View) -> View:
        vars(view)[_ATTRIBUTE] = Access(roles, basic, polled, uploads)
        return view

    return declare


def declared(app: Flask, endpoint: str | None) -> Access | None:
    """Return what an endpoint has declared."""
    if endpoint in STATIC_ENDPOINTS:
        return Access(roles=None)
    view = app.view_functions.get(endpoint or "")
    access: Access | None = getattr(view, _ATTRIBUTE, None)
    return access


def install(app: Flask) -> None:
    """Ask for access before each request. Comes before CSRF protection, which reads the body."""
    app.before_request(_enforce)
    app.context_processor(lambda: {"account": g.get("account"), "Role": Role})


def check_declarations(app: Flask) -> None:
    """Refuse to start with an endpoint that has not declared who may call it.

    Raises:
        RuntimeError: naming the endpoints.
    """
    silent = sorted(endpoint for endpoint in app.view_functions if declared(app, endpoint) is None)
    if silent:
        message = f"no access is declared for {', '.join(silent)}"
        raise RuntimeError(message)


def signed_in() -> User:
    """Return the account of this request; only endpoints that require roles may ask."""
    user: User = g.account
    return user


def _enforce() -> ResponseReturnValue | None:
    g.account = None
    if request.endpoint in STATIC_ENDPOINTS:
        return None
    access = declared(current_app, request.endpoint)
    if request.endpoint is None or (access and access.roles is None):
        # An error page and the log-in page look different to somebody who is logged in.
        g.account = None if _is_machine_path() else sessions.resume(keep_alive=False)
        return None
    if access is None or access.roles is None:
        abort(403)
    g.account = _by_password() if access.basic else sessions.resume(keep_alive=not access.polled)
    if g.account is None:
        return _ask_to_log_in(access)
    if Role(g.account.role) not in access.roles:
        abort(403)
    if access.uploads:
        request.max_content_length = sessions.settings().max_upload_bytes
    return None


def _is_machine_path() -> bool:
    """Tell whether a request without roles is one of a system, which has no session."""
    return request.path.startswith(("/api/", "/health/", "/metrics"))


def _by_password() -> User | None:
    """Return the account whose name and password the request carries.

    A browser that has stored them would attach them to a foreign page's form; such requests are refused.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        abort(403)
    given = request.authorization
    if given is None or given.type != "basic":
        return None
    return sessions.check_password(given.username or "", given.password or "")


def _ask_to_log_in(access: Access) -> ResponseReturnValue:
    if access.basic:
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "Thoraq", "charset": "UTF-8"}))
    if access.polled:
        raise Unauthorized
    here = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.log_in", next=here), 303)
