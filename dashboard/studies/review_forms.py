"""What clinicians do on the page of a study: review it, take it off the worklist, retry its rejected films."""

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboard.accounts.access import REVIEWERS, requires, signed_in
from dashboard.formatting import plural
from dashboard.row_ids import parse_row_id
from worker import wakeups
from worker.database import now, transaction
from worker.settings import settings
from worker.studies import rejected_films, reviews
from worker.studies.records import Image, ImageState, Study, StudyState, Verdict
from worker.studies.rejected_films import Selection
from worker.studies.reviews import InvalidReview

blueprint = Blueprint("reviews", __name__)

MAX_FINDINGS = 32
MAX_FINDING_CHARACTERS = 64


@blueprint.post("/studies/<row_id:study_id>/review")
@requires(REVIEWERS, audited="review")
def review(study_id: int) -> ResponseReturnValue:
    """Store a review and take the study off the worklist; retraining uses the review as a label."""
    with transaction() as session:
        study = session.get(Study, study_id) or abort(404)
        try:
            _add(session, study)
        except InvalidReview as error:
            session.rollback()
            flash(f"Nothing was saved: {error}.", "error")
            return redirect(url_for("study.show", study_id=study_id, _anchor="review"), 303)
        study.read_at = study.read_at or now()
    flash("Your review was saved, and the study has left the worklist.", "success")
    return redirect(url_for("study.show", study_id=study_id), 303)


@blueprint.post("/studies/<row_id:study_id>/seen")
@requires(REVIEWERS, audited="take off the worklist")
def seen(study_id: int) -> ResponseReturnValue:
    """Take a rejected study off the worklist: it has no result to review."""
    with transaction() as session:
        study = session.get(Study, study_id) or abort(404)
        if study.state != StudyState.REJECTED:
            abort(409)
        study.read_at = study.read_at or now()
    flash("The study has left the worklist.", "success")
    return redirect(url_for("worklist.index"), 303)


@blueprint.post("/studies/<row_id:study_id>/replay")
@requires(REVIEWERS, audited="replay rejected films")
def replay(study_id: int) -> ResponseReturnValue:
    """Retry the rejected films of a study, as if they were new."""
    by = signed_in().name
    with transaction() as session:
        rejected = session.scalars(
            select(Image.id).where(Image.study_id == study_id, Image.state == ImageState.REJECTED)
        ).all()
        count = sum(rejected_films.replay(session, by, Selection(image_id=image_id)) for image_id in rejected)
    if count:
        wakeups.wake_scorers(count, settings().batch_size)
    flash(f"{plural(count, 'film')} will be retried." if count else "No film of this study is rejected.", "info")
    return redirect(url_for("study.show", study_id=study_id), 303)


def _add(session: Session, study: Study) -> None:
    """Store the review in the form.

    Raises:
        InvalidReview: the form is incomplete or invalid; the message says why.
    """
    verdict = request.form.get("verdict")
    if verdict not in set(Verdict):
        raise InvalidReview("choose whether you agree or see something else")
    agreed = [study.label] if study.label else []
    findings = agreed if verdict == Verdict.AGREE else request.form.getlist("findings")
    if len(findings) > MAX_FINDINGS or not all(
        name.isprintable() and len(name) <= MAX_FINDING_CHARACTERS for name in findings
    ):
        raise InvalidReview("these findings are unknown")
    reviews.add(
        session,
        study.id,
        by=signed_in().name,
        verdict=Verdict(verdict),
        findings=findings,
        image_id=parse_row_id(request.form.get("film")),
        note=request.form.get("note", "").strip() or None,
    )
