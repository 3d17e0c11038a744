"""What a clinician does on a study's page: says what the films show, and hands rejected films back."""

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.accounts.access import REVIEWERS, requires, signed_in
from dashboard.formatting import plural
from worker import wakeups
from worker.database import now, transaction
from worker.settings import settings
from worker.studies import rejected_films, reviews
from worker.studies.records import Image, ImageState, Study, StudyState
from worker.studies.rejected_films import Selection
from worker.studies.reviews import UnfitReview, Verdict

blueprint = Blueprint("reviews", __name__)

MAX_FINDINGS = 32


@blueprint.post("/studies/<int(max=2147483647):study_id>/review")
@requires(REVIEWERS, audited="review")
def review(study_id: int) -> ResponseReturnValue:
    """Store what somebody sees; the study leaves the worklist. This is the label that retraining uses."""
    with transaction() as session:
        study = session.get(Study, study_id) or abort(404)
        try:
            _add(session, study)
        except UnfitReview as error:
            session.rollback()
            flash(f"Nothing was stored: {error}.", "error")
            return redirect(url_for("study.show", study_id=study_id, _anchor="review"), 303)
        study.read_at = study.read_at or now()
    flash("Your review is stored, and the study has left the worklist.", "success")
    return redirect(url_for("study.show", study_id=study_id), 303)


@blueprint.post("/studies/<int(max=2147483647):study_id>/seen")
@requires(REVIEWERS, audited="take off the worklist")
def seen(study_id: int) -> ResponseReturnValue:
    """Take a study off the worklist that has no result to review."""
    with transaction() as session:
        study = session.get(Study, study_id) or abort(404)
        if study.state != StudyState.REJECTED:
            abort(409)
        study.read_at = study.read_at or now()
    flash("The study has left the worklist.", "success")
    return redirect(url_for("worklist.index"), 303)


@blueprint.post("/studies/<int(max=2147483647):study_id>/replay")
@requires(REVIEWERS, audited="replay rejected films")
def replay(study_id: int) -> ResponseReturnValue:
    """Have the rejected films of a study tried again, from their first attempt on."""
    by = signed_in().name
    with transaction() as session:
        rejected = session.scalars(
            select(Image.id).where(Image.study_id == study_id, Image.state == ImageState.REJECTED)
        ).all()
        count = sum(rejected_films.replay(session, by, Selection(image_id=image_id)) for image_id in rejected)
    if count:
        wakeups.wake_scorers(count, settings().batch_size)
    flash(f"{plural(count, 'film')} will be tried again." if count else "No film of this study is rejected.", "info")
    return redirect(url_for("study.show", study_id=study_id), 303)


def _add(session: Session, study: Study) -> None:
    """Store the review that the form holds.

    Raises:
        UnfitReview: it is none; the text says why.
    """
    verdict, film = request.form.get("verdict"), request.form.get("film", "")
    if verdict not in set(Verdict):
        raise UnfitReview("say whether you agree or correct")
    agreed = [study.label] if study.label else []
    found = agreed if verdict == Verdict.AGREE else request.form.getlist("findings")
    if not all(name.isprintable() and len(name) <= 64 for name in found) or len(found) > MAX_FINDINGS:  # noqa: PLR2004
        raise UnfitReview("these findings are none of ours")
    reviews.add(
        session,
        study.id,
        by=signed_in().name,
        verdict=Verdict(verdict),
        findings=found,
        image_id=int(film) if film.isascii() and film.isdecimal() and len(film) < 10 else None,  # noqa: PLR2004
        note=request.form.get("note", "").strip() or None,
    )
