"""Who may use which endpoint. Each endpoint declares it; one that declares nothing is refused."""

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
#: May review studies and retry rejected films.
REVIEWERS = SENDERS
ADMINS = frozenset({Role.ADMIN})

#: Style sheets and scripts, which the log-in page needs too.
STATIC_ENDPOINTS = frozenset({"static", "bootstrap.static"})
_ATTRIBUTE = "thoraq_access"

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])


@dataclass(frozen=True)
class Access:
    """What an endpoint requires of its callers."""

    #: The roles that may call it; None: everybody, without an account.
    roles: frozenset[Role] | None
    #: Whether each request carries a token, or a name and a password (systems); otherwise a session cookie (people).
    basic: bool = False
    #: The scope that a token needs; a password allows everything that its role may do.
    scope: Scope | None = None
    #: The action in the audit log, if it changes something or shows the study of a patient; None: not logged.
    audited: str | None = None
    #: Whether a page calls it by itself: its errors are JSON, and it keeps no session alive.
    polled: bool = False
    #: Whether it takes files, so that its requests may be large.
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
    """Declare who may call an endpoint (see `Access`)."""

    def declare(view: View) -> View:
        vars(view)[_ATTRIBUTE] = Access(roles, basic, scope, audited, polled, uploads)
        return view

    return declare


def declared(app: Flask, endpoint: str | None) -> Access | None:
    """Return what an endpoint has declared; None if it has declared nothing."""
    if endpoint in STATIC_ENDPOINTS:
        return Access(roles=None)
    view = app.view_functions.get(endpoint or "")
    access: Access | None = getattr(view, _ATTRIBUTE, None)
    return access


def install(app: Flask) -> None:
    """Check access before each request, and before the CSRF protection, which reads the body."""
    app.before_request(_enforce)
    app.context_processor(lambda: {"account": g.get("account"), "Role": Role})


def check_declarations(app: Flask) -> None:
    """Check that every endpoint has declared who may call it.

    Raises:
        RuntimeError: some have not; the message names them.
    """
    undeclared = sorted(endpoint for endpoint in app.view_functions if declared(app, endpoint) is None)
    if undeclared:
        message = f"no access is declared for {', '.join(undeclared)}"
        raise RuntimeError(message)


def upload_paths(app: Flask) -> frozenset[str]:
    """Return the paths of the endpoints that take files."""
    return frozenset(
        rule.rule for rule in app.url_map.iter_rules() if (access := declared(app, rule.endpoint)) and access.uploads
    )


def signed_in() -> User:
    """Return the account of this request; only for endpoints that require a role."""
    user: User = g.account
    return user


def _enforce() -> ResponseReturnValue | None:
    g.account = None
    if request.endpoint in STATIC_ENDPOINTS:
        return None
    access = declared(current_app, request.endpoint)
    if request.endpoint is None or (access and access.roles is None):
        # Error pages and the log-in page look different to a user who is logged in.
        g.account = None if _is_machine_path() else sessions.resume(keep_alive=False)
        return None
    if access is None or access.roles is None:
        abort(403)
    g.account = _by_credentials(access) if access.basic else sessions.resume(keep_alive=not access.polled)
    if g.account is None:
        return _ask_to_log_in(access)
    if Role(g.account.role) not in access.roles:
        _audit(access.audited or str(request.endpoint), "refused")
        abort(403)
    if access.audited and _is_the_action():
        # Before the action: an action that cannot be logged must not happen.
        _audit(access.audited, "allowed")
    if access.uploads:
        request.max_content_length = sessions.settings().max_upload_bytes
    return None


def _is_the_action() -> bool:
    """Return whether this request does the action of its endpoint, rather than fetch the form for it."""
    methods = request.url_rule.methods if request.url_rule else None
    return request.method not in {"GET", "HEAD"} or "POST" not in (methods or ())


def _audit(action: str, outcome: str) -> None:
    """Add an entry to the audit log; its target is what the URL names: row ids and model versions."""
    target = ", ".join(f"{name} {value}" for name, value in (request.view_args or {}).items())
    with transaction() as session:
        audit.append(session, audit.Event(g.account.name, request.remote_addr, action, target, outcome))


def _is_machine_path() -> bool:
    """Return whether the path is one for systems, which have no session."""
    return request.path.startswith(("/api/", "/health/", "/metrics"))


def _by_credentials(access: Access) -> User | None:
    """Return the account whose token, or name and password, the request carries; None if they are wrong.

    Requests from other sites are refused: a browser would attach a stored password to them.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        abort(403)
    credentials = request.authorization
    if credentials is None:
        return None
    if credentials.type == "bearer":
        account, scopes = sessions.check_token(credentials.token or "") or (None, frozenset())
        if account is not None and access.scope not in scopes:
            abort(403, f"This token lacks the scope {access.scope}.")
        return account
    if credentials.type == "basic":
        return sessions.check_password(credentials.username or "", credentials.password or "")
    return None


def _ask_to_log_in(access: Access) -> ResponseReturnValue:
    if access.basic:
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "Thoraq", "charset": "UTF-8"}))
    if access.polled:
        raise Unauthorized
    here = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("login.log_in", next=here), 303)
