"""From a request to the account behind it: by session cookie with its time limits, or by name and password."""

import time

from flask import Flask, current_app, request, session
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.exceptions import TooManyRequests

from dashboard.accounts import accounts, tokens
from dashboard.accounts.accounts import User
from dashboard.accounts.login_failures import FailureCounter
from dashboard.settings import DashboardSettings
from worker import audit
from worker.database import transaction

#: When the session began, and when its owner last asked for a page, in seconds since the epoch.
BEGAN, SEEN = "began", "seen"


def install(app: Flask, settings: DashboardSettings) -> None:
    """Set the cookie up and tell Flask-Login how to find an account."""
    app.config.update(
        SESSION_COOKIE_NAME="__Host-thoraq" if settings.secure_cookies else "thoraq",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=settings.session_absolute_seconds,
    )
    app.extensions["thoraq_failures"] = FailureCounter()
    manager = LoginManager(app)
    manager.user_loader(accounts.of_session)
    accounts.nobodys_hash()


def settings() -> DashboardSettings:
    """Return the settings of the running application."""
    found: DashboardSettings = current_app.extensions["thoraq_settings"]
    return found


def check_password(name: str, password: str) -> User | None:
    """Return the account that name and password open, and count a failure against both name and address.

    Raises:
        TooManyRequests: the name or the address has failed too often; nothing was checked.
    """
    failures: FailureCounter = current_app.extensions["thoraq_failures"]
    account_key, address_key = f"account {name[:64]}", f"address {request.remote_addr}"
    if wait := failures.barred_seconds(account_key, address_key):
        raise TooManyRequests(retry_after=wait)
    user = accounts.authenticate(name, password, settings().mode)
    if user is None:
        failures.count(account_key, address_key)
        write_down("log in", "failed", accounts.find(name[:64]))
        return None
    failures.forgive(account_key)
    return user


def write_down(action: str, outcome: str, user: User | None) -> None:
    """Add what somebody did at the door to the audit log; a name that nobody has may be a password: not kept."""
    with transaction() as session:
        audit.append(session, audit.Event(user.name if user else None, request.remote_addr, action, outcome=outcome))


def check_token(token: str) -> tuple[User, frozenset[str]] | None:
    """Return the account and the scopes that a token opens, and count a failure against the address.

    Raises:
        TooManyRequests: the address has failed too often; nothing was checked.
    """
    failures: FailureCounter = current_app.extensions["thoraq_failures"]
    address_key = f"address {request.remote_addr}"
    if wait := failures.barred_seconds(address_key):
        raise TooManyRequests(retry_after=wait)
    found = tokens.account_of(token)
    if found is None:
        failures.count(address_key)
    return found


def begin(user: User) -> None:
    """Open a session for an account; whatever the cookie held before is dropped."""
    session.clear()
    session[BEGAN] = session[SEEN] = time.time()
    login_user(user)


def resume(*, keep_alive: bool) -> User | None:
    """Return the account of the request's session and end the session if it is over.

    Args:
        keep_alive: whether this request is a sign of a person; pages that refresh themselves are none.
    """
    if BEGAN not in session:
        return None
    limits, moment = settings(), time.time()
    too_old = moment - session[BEGAN] > limits.session_absolute_seconds
    too_idle = moment - session[SEEN] > limits.session_idle_seconds
    if too_old or too_idle or not current_user.is_authenticated:
        session.clear()
        return None
    if keep_alive:
        session[SEEN] = moment
    user: User = current_user._get_current_object()  # noqa: SLF001 - a proxy is no row
    return user


def end(user: User) -> None:
    """Close the session and every other one of the account, so that a copied cookie opens nothing."""
    accounts.end_sessions(user.id)
    logout_user()
    session.clear()
