"""The worklist and the list of everything: filters in the address, search by POST, pages, live rows, exports."""

import hashlib
from datetime import date
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from dashboard.accounts.access import READERS, requires
from dashboard.studies import exports
from dashboard.studies import filters as selection
from dashboard.studies.filters import Filters, Page, View
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
    """Show what nobody has read, most urgent first; or everything, newest first."""
    filters = asked_for(request.args)
    with reading() as session:
        shown, found = _shown(session, filters)
        choices = _choices(session)
    kept = kept_in_address(filters)
    here = {name: value for name in ("after", "before") if (value := request.args.get(name))}
    return render_template(
        "studies/worklist.html",
        page=shown,
        rows=found,
        filters=filters,
        kept=kept,
        here=kept | here,
        seen=_fingerprint(found),
        poll_seconds=POLL_SECONDS,
        **choices,
    )


@blueprint.get("/studies/now")
@requires(READERS, polled=True)
def current() -> ResponseReturnValue:
    """Return the rows of a page if they are others than those that the caller has."""
    filters = asked_for(request.args)
    with reading() as session:
        _, found = _shown(session, filters)
    seen = _fingerprint(found)
    changed = seen != request.args.get("seen")
    parts = {"rows": render_template("studies/_rows.html", rows=found, filters=filters)} if changed else {}
    return {"seen": seen, "parts": parts}


@blueprint.post("/studies/find")
@requires(READERS, audited="find by accession number")
def find() -> ResponseReturnValue:
    """Show the studies with an accession number, which travels in the body and so into no log and no history."""
    number = request.form.get("accession", "").strip()
    if not number or len(number) > MAX_ACCESSION_CHARACTERS or not number.isprintable():
        flash("Enter an accession number of up to 64 characters.", "error")
        return redirect(url_for("worklist.index"), 303)
    filters = Filters(accession=number)
    with reading() as session:
        found = rows(session, selection.page(session, filters).ids)
    return render_template("studies/by_accession.html", rows=found, filters=filters)


@blueprint.get("/studies/export.<any(csv,json):form>")
@requires(READERS, audited="export")
def export(form: str) -> ResponseReturnValue:
    """Return the list as it is narrowed, in its order, as a file."""
    filters = asked_for(request.args)
    body = stream_with_context(exports.FORMATS[form](filters))
    name = f"thoraq-{filters.view}.{form}"
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    return Response(body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def asked_for(given: MultiDict[str, str]) -> Filters:
    """Return the filters that an address names; what makes no sense narrows nothing."""
    state = given.get("state")
    return Filters(
        view=View.ALL if given.get("view") == View.ALL else View.OPEN,
        finding=_name(given.get("finding")),
        state=StudyState(state) if state in set(StudyState) else None,
        version=_name(given.get("version")),
        source=_name(given.get("source")),
        since=_day(given.get("since")),
        until=_day(given.get("until")),
    )


def kept_in_address(filters: Filters) -> dict[str, str]:
    """Return what an address must carry to name these filters again; never an identifier."""
    named = {name: getattr(filters, name) for name in ("finding", "state", "version", "source", "since", "until")}
    kept = {name: str(value) for name, value in named.items() if value is not None}
    return kept | ({"view": View.ALL.value} if filters.view == View.ALL else {})


def _shown(session: Session, filters: Filters) -> tuple[Page, list[Row]]:
    before = request.args.get("before")
    place = selection.cursor(before or request.args.get("after"), backwards=bool(before))
    shown = selection.page(session, filters, place)
    return shown, rows(session, shown.ids)


def _choices(session: Session) -> dict[str, Any]:
    """Return what the filters offer."""
    versions = session.scalars(select(ModelVersion.version).order_by(ModelVersion.id.desc()).limit(50))
    return {
        "classes": classes(session),
        "states": list(StudyState),
        "versions": list(versions),
        "sources": selection.sources(session),
    }


def _fingerprint(found: list[Row]) -> str:
    """Return what tells these rows from others, as far as a reader sees them."""
    content = [(row.study_id, row.state, row.findings[:1], row.finished_count, row.read_at) for row in found]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _name(text: str | None) -> str | None:
    """Return a name asked for; what no row can hold (PostgreSQL takes no NUL) asks for none."""
    return text if text and text.isprintable() else None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        abort(400, "A day is written YYYY-MM-DD.")
