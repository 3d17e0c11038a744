"""The upload page, and the page that shows the progress of a submission."""

import uuid

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from flask_wtf.file import FileRequired, MultipleFileField
from wtforms import HiddenField, SelectField, SubmitField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Regexp

from dashboard.accounts import sessions
from dashboard.accounts.access import READERS, SENDERS, requires
from dashboard.formatting import plural
from dashboard.studies.filters import Filters, parse_cursor, select_page
from dashboard.studies.rows import rows
from dashboard.studies.submissions import progress, uploaded_files
from worker.database import reading
from worker.studies.records import Priority
from worker.submissions import intake

blueprint = Blueprint("upload", __name__)

#: `Submission.source` of films uploaded on this page.
SOURCE = "dashboard"
POLL_SECONDS = 2


class UploadForm(FlaskForm):  # type: ignore[misc]
    """Films and how urgent they are."""

    films = MultipleFileField(
        "Films",
        [FileRequired("Choose at least one film.")],
        render_kw={"accept": ".dcm,.dicom,.png,.jpg,.jpeg,.tif,.tiff,.bmp,.gif,.webp", "multiple": True},
    )
    priority = SelectField(
        "Priority",
        choices=[
            SelectChoice("routine", "Routine"),
            SelectChoice("urgent", "Urgent: scored before everything else"),
            SelectChoice("offpeak", "Off-peak: scored when nothing else waits"),
        ],
    )
    #: Generated with the form, so that a second click on the button is recognised as the same submission.
    request_id = HiddenField(validators=[InputRequired(), Regexp(r"^[0-9a-f]{32}$")])
    submit = SubmitField("Upload for scoring")


@blueprint.route("/upload", methods=["GET", "POST"])
@requires(SENDERS, uploads=True, audited="upload")
def upload() -> ResponseReturnValue:
    """Show the form, and submit its films for scoring."""
    form = UploadForm()
    if not form.validate_on_submit():
        form.request_id.data = form.request_id.data or uuid.uuid4().hex
        status = 400 if request.method == "POST" else 200
        limit = sessions.settings().max_upload_bytes
        return render_template("studies/upload.html", form=form, limit=limit), status
    acceptance = intake.submit_files(
        uploaded_files(form.films.data),
        source=SOURCE,
        request_id=form.request_id.data,
        priority=Priority[form.priority.data.upper()],
    )
    if acceptance.repeated:
        flash("These films were uploaded before; this is their submission.", "info")
    else:
        flash(f"Accepted: {plural(acceptance.accepted, 'film')}.", "success")
    return redirect(url_for("upload.submission", submission_id=acceptance.submission_id), 303)


@blueprint.get("/submissions/<submission_id>")
@requires(READERS, audited="view submission")
def submission(submission_id: str) -> ResponseReturnValue:
    """Show the progress of a submission and the results of its studies."""
    with reading() as session:
        current = progress(session, submission_id)
        if current is None:
            abort(404)
        page = select_page(session, Filters(submission_id=submission_id), parse_cursor(request.args.get("after")))
        studies = rows(session, page.ids)
    return render_template(
        "studies/submission.html", progress=current, page=page, rows=studies, poll_seconds=POLL_SECONDS
    )


@blueprint.get("/submissions/<submission_id>/now")
@requires(READERS, polled=True)
def submission_now(submission_id: str) -> ResponseReturnValue:
    """Return the progress of a submission, and the part of the page that shows it."""
    with reading() as session:
        current = progress(session, submission_id)
    if current is None:
        abort(404)
    return {
        "state": current.state,
        "films": current.films,
        "parts": {"progress": render_template("studies/_progress.html", progress=current)},
        "reload": current.state == "finished",
    }
