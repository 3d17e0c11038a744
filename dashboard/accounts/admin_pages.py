"""The pages of administrators: accounts, API tokens and the audit log."""

from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from dashboard.accounts import accounts, sessions, tokens
from dashboard.accounts.access import ADMINS, requires, signed_in
from dashboard.accounts.accounts import AccountError, Role, UnfitAccount, User
from dashboard.accounts.tokens import Scope
from dashboard.row_ids import parse_row_id
from worker import audit
from worker.database import reading

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

#: For how many days a token may be valid.
TOKEN_DAYS = (30, 90, 365)


@blueprint.get("/accounts")
@requires(ADMINS)
def index() -> ResponseReturnValue:
    """Show the accounts and the API tokens."""
    return _page()


@blueprint.post("/accounts")
@requires(ADMINS, audited="add account")
def add() -> ResponseReturnValue:
    """Add an account."""
    form = request.form
    return _done(
        lambda: accounts.add(form.get("name", ""), form.get("password", ""), _role(), sessions.settings().mode),
        "The account was added.",
    )


@blueprint.post("/accounts/<row_id:user_id>/role")
@requires(ADMINS, audited="change role")
def change_role(user_id: int) -> ResponseReturnValue:
    """Change the role of an account and end its sessions."""
    return _done(
        lambda: accounts.change_role(_other(user_id), _role()),
        "The role was changed, and the sessions of the account have ended.",
    )


@blueprint.post("/accounts/<row_id:user_id>/password")
@requires(ADMINS, audited="change password")
def change_password(user_id: int) -> ResponseReturnValue:
    """Change the password of an account and end its sessions."""
    password = request.form.get("password", "")
    return _done(
        lambda: accounts.change_password(_name(user_id), password, sessions.settings().mode),
        "The password was changed, and the sessions of the account have ended.",
    )


@blueprint.post("/accounts/<row_id:user_id>/open")
@requires(ADMINS, audited="open or close account")
def set_open(user_id: int) -> ResponseReturnValue:
    """Close an account, or open it again; closing ends its sessions and disables its tokens."""
    active = request.form.get("open") == "yes"
    return _done(
        lambda: accounts.set_active(_other(user_id), active=active), f"The account is {'open' if active else 'closed'}."
    )


@blueprint.post("/tokens")
@requires(ADMINS, audited="make token")
def make_token() -> ResponseReturnValue:
    """Create a token and show it once."""
    form = request.form
    scopes = [Scope(text) for text in form.getlist("scopes") if text in set(Scope)]
    days = parse_row_id(form.get("days")) or TOKEN_DAYS[0]
    try:
        token = tokens.make(
            form.get("system", ""), form.get("purpose", ""), scopes, min(days, TOKEN_DAYS[-1]), signed_in().name
        )
    except AccountError as error:
        flash(f"No token was created: {error}.", "error")
        return redirect(url_for("admin.index"), 303)
    return _page(token)


@blueprint.post("/tokens/<row_id:token_id>/revoke")
@requires(ADMINS, audited="revoke token")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Revoke a token."""
    tokens.revoke(token_id)
    flash("The token was revoked.", "success")
    return redirect(url_for("admin.index"), 303)


@blueprint.get("/audit")
@requires(ADMINS, audited="read the audit log")
def trail() -> ResponseReturnValue:
    """Show the audit log, newest entry first; with `check`, also whether the chain of hashes is intact."""
    checked = "check" in request.args
    with reading() as session:
        entries = audit.newest(session, before=parse_row_id(request.args.get("before")))
        broken = audit.first_broken(session) if checked else None
    return render_template("accounts/audit.html", entries=entries, checked=checked, broken=broken)


def _page(token: str | None = None) -> ResponseReturnValue:
    with reading() as session:
        users = list(session.scalars(select(User).order_by(User.name)))
        api_tokens = tokens.all_tokens(session)
    return render_template(
        "accounts/accounts.html",
        users=users,
        tokens=api_tokens,
        token=token,
        scopes=list(Scope),
        roles=list(Role),
        days=TOKEN_DAYS,
        min_password_characters=accounts.min_password_characters(sessions.settings().mode),
    )


def _done(action: Callable[[], None], message: str) -> ResponseReturnValue:
    """Do an action, show `message` or the error, and return to the accounts."""
    try:
        action()
        flash(message, "success")
    except (AccountError, UnfitAccount) as error:
        flash(f"Nothing was changed: {error}.", "error")
    return redirect(url_for("admin.index"), 303)


def _role() -> Role:
    role = request.form.get("role")
    if role not in set(Role):
        raise AccountError("there is no such role")
    return Role(role)


def _name(user_id: int) -> str:
    with reading() as session:
        user = session.get(User, user_id)
    if user is None:
        raise AccountError("there is no such account")
    return user.name


def _other(user_id: int) -> str:
    """Return the name of another account: administrators must not lock themselves out."""
    if user_id == signed_in().id:
        raise AccountError("you cannot change your own account's role or close it; another administrator can")
    return _name(user_id)
