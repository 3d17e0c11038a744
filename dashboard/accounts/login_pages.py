"""Logging in and out."""

from urllib.parse import urlsplit

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField, SubmitField
from wtforms.validators import InputRequired, Length

from dashboard.accounts import sessions
from dashboard.accounts.access import READERS, public, requires, signed_in
from dashboard.accounts.accounts import MAX_PASSWORD_CHARACTERS, Role

blueprint = Blueprint("login", __name__)

#: The same text for an unknown name and for a wrong password, so that it does not reveal which names exist.
REFUSAL = "The name or the password is wrong."


class LogInForm(FlaskForm):  # type: ignore[misc]
    """Name and password."""

    name = StringField(
        "Name",
        [InputRequired(), Length(max=64)],
        render_kw={"autocomplete": "username", "autofocus": True, "autocapitalize": "none", "spellcheck": "false"},
    )
    password = PasswordField(
        "Password",
        [InputRequired(), Length(max=MAX_PASSWORD_CHARACTERS)],
        render_kw={"autocomplete": "current-password"},
    )
    next = HiddenField()
    submit = SubmitField("Log in", render_kw={"class": "w-100"})


@blueprint.get("/")
@public
def index() -> ResponseReturnValue:
    """Redirect to the worklist, or to the log-in page."""
    return redirect(url_for("worklist.index" if g.account else "login.log_in"))


@blueprint.route("/login", methods=["GET", "POST"])
@public
def log_in() -> ResponseReturnValue:
    """Show the log-in page, and begin a session."""
    form = LogInForm(next=request.args.get("next", ""))
    if not form.validate_on_submit():
        if g.account:
            return redirect(local_path(form.next.data))
        return render_template("accounts/log_in.html", form=form, mode=sessions.settings().mode)
    user = sessions.check_password(form.name.data, form.password.data)
    if user is None:
        flash(REFUSAL, "error")
        return render_template("accounts/log_in.html", form=form, mode=sessions.settings().mode), 401
    if user.role == Role.UPSTREAM:
        flash("This account belongs to another system. It uses the API at /api/v1 and has no pages.", "error")
        return render_template("accounts/log_in.html", form=form, mode=sessions.settings().mode), 403
    sessions.audit_log_in("opened", user)
    sessions.begin(user)
    return redirect(local_path(form.next.data), 303)


@blueprint.post("/logout")
@requires(READERS, audited="log out")
def log_out() -> ResponseReturnValue:
    """End every session of the account."""
    sessions.end(signed_in())
    flash("You are logged out, here and wherever else this account was logged in.", "info")
    return redirect(url_for("login.log_in"), 303)


def local_path(target: str | None) -> str:
    """Return `target` if it is a path on this host, the worklist otherwise."""
    home = url_for("worklist.index")
    if (
        not target
        or not target.startswith("/")
        or target.startswith("//")
        or not target.isprintable()
        or "\\" in target
    ):
        return home
    parts = urlsplit(target)
    return home if parts.scheme or parts.netloc else target
