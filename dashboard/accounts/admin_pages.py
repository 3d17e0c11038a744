"""The administrator's pages: accounts, tokens of systems, and the audit log."""

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

#: How long a token may open the door, in days.
TOKEN_DAYS = (30, 90, 365)


@blueprint.get("/accounts")
@requires(ADMINS)
def index() -> ResponseReturnValue:
    """Show the accounts and the tokens."""
    return _page()


@blueprint.post("/accounts")
@requires(ADMINS, audited="add account")
def add() -> ResponseReturnValue:
    """Make an account."""
    form = request.form
    return _done(
        lambda: accounts.add(form.get("name", ""), form.get("password", ""), _role(), sessions.settings().mode),
        "The account is made.",
    )


@blueprint.post("/accounts/<row_id:user_id>/role")
@requires(ADMINS, audited="change role")
def change_role(user_id: int) -> ResponseReturnValue:
    """Give an account another role; its sessions end."""
    return _done(lambda: accounts.change_role(_other(user_id), _role()), "The role is changed, its sessions are over.")


@blueprint.post("/accounts/<row_id:user_id>/password")
@requires(ADMINS, audited="change password")
def change_password(user_id: int) -> ResponseReturnValue:
    """Give an account another password; its sessions end."""
    password = request.form.get("password", "")
    return _done(
        lambda: accounts.change_password(_name(user_id), password, sessions.settings().mode),
        "The password is changed; its sessions have ended.",
    )


@blueprint.post("/accounts/<row_id:user_id>/open")
@requires(ADMINS, audited="open or close account")
def set_open(user_id: int) -> ResponseReturnValue:
    """Close an account, or open it again; closing ends its sessions and its tokens open nothing."""
    opened = request.form.get("open") == "yes"
    return _done(
        lambda: accounts.set_active(_other(user_id), active=opened), f"The account is {'open' if opened else 'closed'}."
    )


@blueprint.post("/tokens")
@requires(ADMINS, audited="make token")
def make_token() -> ResponseReturnValue:
    """Make a token and show it, this once."""
    form = request.form
    scopes = [Scope(text) for text in form.getlist("scopes") if text in set(Scope)]
    days = parse_row_id(form.get("days")) or TOKEN_DAYS[0]
    try:
        token = tokens.make(
            form.get("system", ""), form.get("purpose", ""), scopes, min(days, TOKEN_DAYS[-1]), signed_in().name
        )
    except AccountError as error:
        flash(f"Nothing was made: {error}.", "error")
        return redirect(url_for("admin.index"), 303)
    return _page(token)


@blueprint.post("/tokens/<row_id:token_id>/revoke")
@requires(ADMINS, audited="revoke token")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Close a token for good."""
    tokens.revoke(token_id)
    flash("The token opens nothing any more.", "success")
    return redirect(url_for("admin.index"), 303)


@blueprint.get("/audit")
@requires(ADMINS, audited="read the audit log")
def trail() -> ResponseReturnValue:
    """Show who did and saw what, newest first, and whether the chain of hashes is whole."""
    checked = "check" in request.args
    with reading() as session:
        entries = audit.newest(session, before=parse_row_id(request.args.get("before")))
        broken = audit.first_broken(session) if checked else None
    return render_template("accounts/audit.html", entries=entries, checked=checked, broken=broken)


def _page(token: str | None = None) -> ResponseReturnValue:
    with reading() as session:
        users = list(session.scalars(select(User).order_by(User.name)))
        made = tokens.all_tokens(session)
    return render_template(
        "accounts/accounts.html",
        users=users,
        tokens=made,
        token=token,
        scopes=list(Scope),
        roles=list(Role),
        days=TOKEN_DAYS,
        shortest=accounts.shortest_password(sessions.settings().mode),
    )


def _done(action: Callable[[], None], said: str) -> ResponseReturnValue:
    """Carry an action out, say how it went, and lead back to the accounts."""
    try:
        action()
        flash(said, "success")
    except (AccountError, UnfitAccount) as error:
        flash(f"Nothing was changed: {error}.", "error")
    return redirect(url_for("admin.index"), 303)


def _role() -> Role:
    given = request.form.get("role")
    if given not in set(Role):
        raise AccountError("there is no such role")
    return Role(given)


def _name(user_id: int) -> str:
    with reading() as session:
        user = session.get(User, user_id)
    if user is None:
        raise AccountError("there is no such account")
    return user.name


def _other(user_id: int) -> str:
    """Return an account's name; an administrator who locks themselves out needs the command line."""
    if user_id == signed_in().id:
        raise AccountError("you cannot change your own account's role or close it; another administrator can")
    return _name(user_id)
