"""The worklist and the list of all studies: filters in the URL, search by accession number, live rows, exports."""

import hashlib
from datetime import date

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from dashboard.accounts.access import READERS, requires
from dashboard.studies import exports
from dashboard.studies.filters import Filters, Page, View, parse_cursor, select_page, sources
from dashboard.studies.rows import Row, classes, rows
from worker.database import reading
from worker.models.records import ModelVersion
from worker.studies.records import StudyState

blueprint = Blueprint("worklist", __name__)

POLL_SECONDS = 5
#: The longest accession number of DICOM (VR SH) is 16; senders of the envelope may use 64.
MAX_ACCESSION_CHARACTERS = 64


@blueprint.get("/studies")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show unread studies, most urgent first; or all studies, newest first."""
    filters = parse_filters(request.args)
    with reading() as session:
        page, page_rows = _page(session, filters)
        choices = _choices(session)
    parameters = query_parameters(filters)
    place = {name: value for name in ("after", "before") if (value := request.args.get(name))}
    return render_template(
        "studies/worklist.html",
        page=page,
        rows=page_rows,
        filters=filters,
        parameters=parameters,
        poll_parameters=parameters | place,
        seen=_fingerprint(page_rows),
        poll_seconds=POLL_SECONDS,
        **choices,
    )


@blueprint.get("/studies/now")
@requires(READERS, polled=True)
def current() -> ResponseReturnValue:
    """Return the rows of a page, if they differ from the rows that the caller shows (`seen`)."""
    filters = parse_filters(request.args)
    with reading() as session:
        _, page_rows = _page(session, filters)
    seen = _fingerprint(page_rows)
    changed = seen != request.args.get("seen")
    parts = {"rows": render_template("studies/_rows.html", rows=page_rows, filters=filters)} if changed else {}
    return {"seen": seen, "parts": parts}


@blueprint.post("/studies/find")
@requires(READERS, audited="find by accession number")
def find() -> ResponseReturnValue:
    """Show the studies with an accession number; it is sent by POST, to keep it out of logs and browser histories."""
    number = request.form.get("accession", "").strip()
    if not number or len(number) > MAX_ACCESSION_CHARACTERS or not number.isprintable():
        flash("Enter an accession number of up to 64 characters.", "error")
        return redirect(url_for("worklist.index"), 303)
    filters = Filters(accession=number)
    with reading() as session:
        studies = rows(session, select_page(session, filters).ids)
    return render_template("studies/by_accession.html", rows=studies, filters=filters)


@blueprint.get("/studies/export.<any(csv,json):form>")
@requires(READERS, audited="export")
def export(form: str) -> ResponseReturnValue:
    """Return the filtered list as a file, in the order of the page."""
    filters = parse_filters(request.args)
    body = stream_with_context(exports.FORMATS[form](filters))
    name = f"thoraq-{filters.view}.{form}"
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    return Response(body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def parse_filters(parameters: MultiDict[str, str]) -> Filters:
    """Return the filters in query parameters; invalid values are ignored, except for days (400)."""
    state = parameters.get("state")
    return Filters(
        view=View.ALL if parameters.get("view") == View.ALL else View.OPEN,
        finding=_name(parameters.get("finding")),
        state=StudyState(state) if state in set(StudyState) else None,
        version=_name(parameters.get("version")),
        source=_name(parameters.get("source")),
        since=_day(parameters.get("since")),
        until=_day(parameters.get("until")),
    )


def query_parameters(filters: Filters) -> dict[str, str]:
    """Return the query parameters that give these filters again; accession numbers never stand in a URL."""
    values = {name: getattr(filters, name) for name in ("finding", "state", "version", "source", "since", "until")}
    parameters = {name: str(value) for name, value in values.items() if value is not None}
    return parameters | ({"view": View.ALL.value} if filters.view == View.ALL else {})


def _page(session: Session, filters: Filters) -> tuple[Page, list[Row]]:
    before = request.args.get("before")
    place = parse_cursor(before or request.args.get("after"), backwards=bool(before))
    page = select_page(session, filters, place)
    return page, rows(session, page.ids)


def _choices(session: Session) -> dict[str, object]:
    """Return the values that the filters offer."""
    versions = session.scalars(select(ModelVersion.version).order_by(ModelVersion.id.desc()).limit(50))
    return {
        "classes": classes(session),
        "states": list(StudyState),
        "versions": list(versions),
        "sources": sources(session),
    }


def _fingerprint(page_rows: list[Row]) -> str:
    """Return a hash that changes when a reader would see something new in the rows."""
    content = [(row.study_id, row.state, row.findings[:1], row.finished_count, row.read_at) for row in page_rows]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _name(text: str | None) -> str | None:
    """Return a name to filter by; None if it is empty, or if no row can hold it (PostgreSQL stores no NUL)."""
    return text if text and text.isprintable() else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        abort(400, "A day is written YYYY-MM-DD.")
