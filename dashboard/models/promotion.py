"""Promotion and rollback: first a page that asks and shows the gate's verdict, then the change."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dashboard.accounts.access import TRAINERS, requires, signed_in
from worker.database import reading, transaction
from worker.errors import ModelUnavailable
from worker.models import promotion, registry
from worker.models.promotion import NotPassed

blueprint = Blueprint("promotion", __name__, url_prefix="/models")


@blueprint.get("/<version>/promote")
@requires(TRAINERS)
def confirm_promotion(version: str) -> ResponseReturnValue:
    """Show the gate's verdict on a version and ask whether to promote it."""
    with reading() as session:
        model = registry.find(session, version) or abort(404)
        return render_template(
            "models/promote.html",
            model=model,
            active=registry.active(session),
            verdict=promotion.latest(session, model.id),
            against=promotion.reasons_against(session, model),
        )


@blueprint.post("/<version>/promote")
@requires(TRAINERS, audited="promote")
def promote(version: str) -> ResponseReturnValue:
    """Promote a version; against the gate only with `force`."""
    try:
        with transaction() as session:
            promotion.promote(session, version, signed_in().name, force="force" in request.form)
    except ModelUnavailable:
        abort(404)
    except NotPassed as error:
        flash(f"Nothing was changed. {error}", "error")
        return redirect(url_for("promotion.confirm_promotion", version=version), 303)
    flash(f"{version} is active. Workers take it up before their next batch.", "success")
    return redirect(url_for("models.index"), 303)


@blueprint.get("/rollback")
@requires(TRAINERS)
def confirm_rollback() -> ResponseReturnValue:
    """Show which version a rollback would activate, and ask."""
    with reading() as session:
        active = registry.active(session)
        target = promotion.rollback_target(session)
    return render_template("models/rollback.html", active=active, target=target)


@blueprint.post("/rollback")
@requires(TRAINERS, audited="roll back")
def roll_back() -> ResponseReturnValue:
    """Activate the version that the active one replaced, if the active one is still the one that was shown."""
    with transaction() as session:
        active = registry.active(session)
        if active is None or active.version != request.form.get("active"):
            flash("Nothing was changed: another version has become active in the meantime. Check again.", "error")
            return redirect(url_for("promotion.confirm_rollback"), 303)
        try:
            activated = promotion.rollback(session, signed_in().name)
        except ModelUnavailable as error:
            flash(f"Nothing was changed: {error}.", "error")
            return redirect(url_for("models.index"), 303)
    flash(f"{activated.version} is active again. Workers take it up before their next batch.", "success")
    return redirect(url_for("models.index"), 303)
