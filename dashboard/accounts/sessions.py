"""The account behind a request: by session cookie with its time limits, by name and password, or by token."""

import logging

from flask import Flask, current_app, request, session
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.exceptions import TooManyRequests

from dashboard.accounts import accounts, tokens
from dashboard.accounts.accounts import User
from dashboard.accounts.login_failures import LoginFailures, tokens_from
from dashboard.settings import DashboardSettings
from worker import audit
from worker.database import now, transaction

logger = logging.getLogger(__name__)

#: When the session began, and when its owner last requested a page, in seconds since the epoch.
BEGAN, SEEN = "began", "seen"


def install(app: Flask, settings: DashboardSettings) -> None:
    """Set up the session cookie, the count of failed log-ins, and the loader of accounts for Flask-Login."""
    app.config.update(
        SESSION_COOKIE_NAME="__Host-thoraq" if settings.secure_cookies else "thoraq",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=settings.session_absolute_seconds,
    )
    redis_url = settings.login_failures_redis_url()
    if redis_url is None and settings.mode == "production":
        logger.warning("each dashboard process counts failed log-ins on its own: set THORAQ_LOGIN_FAILURES_URL")
    app.extensions["thoraq_login_failures"] = LoginFailures(app.config["SECRET_KEY"], redis_url)
    manager = LoginManager(app)
    manager.user_loader(accounts.find_by_session)
    accounts.dummy_hash()


def settings() -> DashboardSettings:
    """Return the settings of the running application."""
    app_settings: DashboardSettings = current_app.extensions["thoraq_settings"]
    return app_settings


def check_password(name: str, password: str) -> User | None:
    """Return the account with this name and password; count a failure for the name, the address and the pair.

    Raises:
        TooManyRequests: too many failures; the password was not checked.
    """
    failures: LoginFailures = current_app.extensions["thoraq_login_failures"]
    account, address = name[:64], str(request.remote_addr)
    if wait := failures.log_in_blocked_seconds(account, address):
        raise TooManyRequests(retry_after=wait)
    user = accounts.authenticate(name, password, settings().mode)
    failures.count_log_in(account, address, failed=user is None)
    if user is None:
        audit_log_in("failed", accounts.find(account))
    return user


def audit_log_in(outcome: str, user: User | None) -> None:
    """Write a log-in to the audit log. An unknown name is left out: it may be a password in the wrong field."""
    with transaction() as session:
        audit.append(session, audit.Event(user.name if user else None, request.remote_addr, "log in", outcome=outcome))


def check_token(token: str) -> tuple[User, frozenset[str]] | None:
    """Return the account and the scopes of a token, whatever else its address did; count a wrong one for the address.

    A token has 256 random bits: what is counted is noise that an operator should know of, not a danger of guessing.

    Raises:
        TooManyRequests: this token is wrong, like too many before it.
    """
    if account_and_scopes := tokens.authenticate(token):
        return account_and_scopes
    failures: LoginFailures = current_app.extensions["thoraq_login_failures"]
    subject = tokens_from(str(request.remote_addr))
    if wait := failures.blocked_seconds(subject):
        raise TooManyRequests(retry_after=wait)
    failures.count(subject)
    return None


def begin(user: User) -> None:
    """Begin a session for an account; everything that the cookie held before is dropped."""
    session.clear()
    session[BEGAN] = session[SEEN] = now().timestamp()
    login_user(user)


def resume(*, keep_alive: bool) -> User | None:
    """Return the account of the request's session; end the session if it has expired.

    Args:
        keep_alive: whether the request comes from a person; a page that refreshes itself keeps no session alive.
    """
    if BEGAN not in session:
        return None
    limits, moment = settings(), now().timestamp()
    too_old = moment - session[BEGAN] > limits.session_absolute_seconds
    too_idle = moment - session[SEEN] > limits.session_idle_seconds
    if too_old or too_idle or not current_user.is_authenticated:
        session.clear()
        return None
    if keep_alive:
        session[SEEN] = moment
    user: User = current_user._get_current_object()  # noqa: SLF001 - the proxy is not a row
    return user


def end(user: User) -> None:
    """End every session of the account: a copied cookie is worthless afterwards."""
    accounts.end_sessions(user.id)
    logout_user()
    session.clear()
