"""The pages of the queue: waiting films, processes, throughput, and rejected films."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from dashboard.accounts.access import READERS, REVIEWERS, TRAINERS, requires, signed_in
from dashboard.formatting import plural
from dashboard.headers import FIGURE_POLICY
from dashboard.operations import throughput
from dashboard.operations.backlog import THROUGHPUT_SECONDS, Backlog, backlog
from dashboard.row_ids import parse_row_id
from dashboard.studies.filters import PAGE_SIZE
from worker import wakeups
from worker.database import now, reading, transaction
from worker.errors import Reason
from worker.settings import settings
from worker.studies import rejected_films
from worker.studies.records import Rejection
from worker.studies.rejected_films import CHUNK, Selection

blueprint = Blueprint("queue", __name__, url_prefix="/queue")

#: The time between two polls of the page.
POLL_SECONDS = 5
#: One request makes at most this many transactions.
MAX_CHUNKS = 20


@blueprint.get("/")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show the state of the queue."""
    return render_template("operations/queue.html", poll_seconds=POLL_SECONDS, **_context())


@blueprint.get("/now")
@requires(READERS, polled=True)
def current() -> ResponseReturnValue:
    """Return the state of the queue as numbers, and the parts of the page that show it."""
    context = _context()
    state: Backlog = context["backlog"]  # type: ignore[assignment]
    return {
        "films": state.films,
        "scorers_up": state.scorers_up,
        "standstill": context["standstill"],
        "parts": {name: render_template(f"operations/_{name}.html", **context) for name in ("alert", "board")},
    }


@blueprint.get("/chart.svg")
@requires(READERS, polled=True)
def chart() -> ResponseReturnValue:
    """Return the chart of the throughput of the last hours, as SVG."""
    return Response(
        throughput.chart(), content_type="image/svg+xml", headers={"Content-Security-Policy": FIGURE_POLICY}
    )


@blueprint.get("/rejected")
@requires(READERS)
def rejected() -> ResponseReturnValue:
    """Show the rejected films that nobody has retried, newest first."""
    reason = _reason(request.args.get("reason"))
    with reading() as session:
        rejections = _rejected(session, reason, parse_row_id(request.args.get("before")))
    return render_template(
        "operations/rejected.html",
        rejections=rejections[:PAGE_SIZE],
        more=rejections[PAGE_SIZE - 1].id if len(rejections) > PAGE_SIZE else None,
        reason=reason,
        reasons=list(Reason),
        reviewers=REVIEWERS,
        trainers=TRAINERS,
    )


@blueprint.post("/rejected/<row_id:image_id>/replay")
@requires(REVIEWERS, audited="replay rejected film")
def replay(image_id: int) -> ResponseReturnValue:
    """Retry one rejected film."""
    with transaction() as session:
        count = rejected_films.replay(session, signed_in().name, Selection(image_id=image_id))
    return _replayed(count)


@blueprint.post("/rejected/replay")
@requires(TRAINERS, audited="replay all rejected films")
def replay_all() -> ResponseReturnValue:
    """Retry every rejected film, or all that have one reason."""
    selection = Selection(reason=_reason(request.form.get("reason")), until=now())
    count = 0
    for _ in range(MAX_CHUNKS):
        with transaction() as session:
            done = rejected_films.replay(session, signed_in().name, selection)
        count += done
        if done < CHUNK:
            break
    return _replayed(count)


def _replayed(count: int) -> ResponseReturnValue:
    if count:
        wakeups.wake_scorers(count, settings().batch_size)
    flash(f"{plural(count, 'film')} will be retried." if count else "There was no film to retry.", "info")
    return redirect(url_for("queue.rejected"), 303)


def _rejected(session: Session, reason: Reason | None, before: int | None) -> list[Rejection]:
    query = (
        select(Rejection)
        .where(Rejection.replayed_at.is_(None))
        .options(joinedload(Rejection.image))
        .order_by(Rejection.id.desc())
        .limit(PAGE_SIZE + 1)
    )
    if reason is not None:
        query = query.where(Rejection.reason == reason)
    return list(session.scalars(query if before is None else query.where(Rejection.id < before)))


def _reason(text: str | None) -> Reason | None:
    return Reason(text) if text in set(Reason) else None


def _context() -> dict[str, object]:
    with reading() as session:
        state = backlog(session)
    return {
        "backlog": state,
        "standstill": state.standstill(),
        "standstill_seconds": settings().stalled_seconds,
        "throughput_seconds": THROUGHPUT_SECONDS,
    }
