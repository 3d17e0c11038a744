"""Who may use which endpoint: each declares it, and one that declares nothing is refused. Deny by default."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Flask, abort, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from dashboard.accounts import sessions
from dashboard.accounts.accounts import Role, User
from dashboard.accounts.tokens import Scope
from worker import audit
from worker.database import transaction

READERS = frozenset({Role.VIEWER, Role.CLINICIAN, Role.SCIENTIST, Role.ADMIN})
SENDERS = frozenset({Role.CLINICIAN, Role.SCIENTIST, Role.ADMIN})
TRAINERS = frozenset({Role.SCIENTIST, Role.ADMIN})
SYSTEMS = SENDERS | {Role.UPSTREAM}
#: Say what they see on a film, and hand rejected films back.
REVIEWERS = SENDERS
ADMINS = frozenset({Role.ADMIN})

#: Endpoints of the libraries: style sheets and scripts, which the log-in page needs too.
STATIC_ENDPOINTS = frozenset({"static", "bootstrap.static"})
_ATTRIBUTE = "thoraq_access"

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])


@dataclass(frozen=True)
class Access:
    """What an endpoint demands of who calls it."""

    #: None: everybody, without an account.
    roles: frozenset[Role] | None
    #: By token, or name and password, in every request (systems), not by session cookie (people).
    basic: bool = False
    #: What a token must open; a password opens all that its role may.
    scope: Scope | None = None
    #: Its name in the audit log, for what changes something or shows a patient's study; None: not written down.
    audited: str | None = None
    #: Called by a page on its own: answers with JSON and keeps no session alive.
    polled: bool = False
    #: Takes files, so its requests may be large.
    uploads: bool = False


def public(view: View) -> View:
    """Declare that everybody may call an endpoint."""
    vars(view)[_ATTRIBUTE] = Access(roles=None)
    return view


def requires(  # noqa: PLR0913 - what an endpoint declares
    roles: frozenset[Role],
    *,
    basic: bool = False,
    scope: Scope | None = None,
    audited: str | None = None,
    polled: bool = False,
    uploads: bool = False,
) -> Callable[[View], View]:
    """Declare the roles that may call an endpoint, and what comes with it (see `Access`)."""

    def declare(view: View) -> View:
        vars(view)[_ATTRIBUTE] = Access(roles, basic, scope, audited, polled, uploads)
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
    g.account = _by_credentials(access) if access.basic else sessions.resume(keep_alive=not access.polled)
    if g.account is None:
        return _ask_to_log_in(access)
    if Role(g.account.role) not in access.roles:
        _write_down(access.audited or str(request.endpoint), "refused")
        abort(403)
    if access.audited and _does_it():
        # Before it is done: what cannot be written down does not happen.
        _write_down(access.audited, "allowed")
    if access.uploads:
        request.max_content_length = sessions.settings().max_upload_bytes
    return None


def _does_it() -> bool:
    """Tell whether this request does what its endpoint is for, rather than fetch the form for it."""
    methods = request.url_rule.methods if request.url_rule else None
    return request.method not in {"GET", "HEAD"} or "POST" not in (methods or ())


def _write_down(action: str, outcome: str) -> None:
    """Add an entry to the audit log; the target is what the address names: row ids and versions of ours."""
    target = ", ".join(f"{name} {value}" for name, value in (request.view_args or {}).items())
    with transaction() as session:
        audit.append(session, audit.Event(g.account.name, request.remote_addr, action, target, outcome))


def _is_machine_path() -> bool:
    """Tell whether a request without roles is one of a system, which has no session."""
    return request.path.startswith(("/api/", "/health/", "/metrics"))


def _by_credentials(access: Access) -> User | None:
    """Return the account whose token, or name and password, the request carries.

    A browser that has stored a password would attach it to a foreign page's form; such requests are refused.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        abort(403)
    given = request.authorization
    if given is None:
        return None
    if given.type == "bearer":
        found = sessions.check_token(given.token or "")
        if found is not None and access.scope not in found[1]:
            abort(403, f"This token does not open {access.scope}.")
        return found[0] if found else None
    return sessions.check_password(given.username or "", given.password or "") if given.type == "basic" else None


def _ask_to_log_in(access: Access) -> ResponseReturnValue:
    if access.basic:
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "Thoraq", "charset": "UTF-8"}))
    if access.polled:
        raise Unauthorized
    here = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("login.log_in", next=here), 303)
