"""The queue page: how many films wait, for how long, who works, and whether work stands still."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dashboard.access import READERS, requires
from dashboard.backlog import STANDSTILL_SECONDS, THROUGHPUT_SECONDS, Backlog, backlog
from worker.database import reading

queues = Blueprint("queues", __name__, url_prefix="/queue")

#: How often the page asks again.
POLL_SECONDS = 5


@queues.get("/")
@requires(READERS)
def index() -> ResponseReturnValue:
    """Show how the queue stands."""
    return render_template("queues/index.html", poll_seconds=POLL_SECONDS, **_context())


@queues.get("/now")
@requires(READERS, polled=True)
def current() -> ResponseReturnValue:
    """Return how the queue stands: figures for programs, and the parts of the page that they change."""
    context = _context()
    state: Backlog = context["backlog"]  # type: ignore[assignment]
    return {
        "films": state.films,
        "scorers_up": state.scorers_up,
        "standstill": context["standstill"],
        "parts": {name: render_template(f"queues/_{name}.html", **context) for name in ("alert", "board")},
    }


def _context() -> dict[str, object]:
    with reading() as session:
        state = backlog(session)
    return {
        "backlog": state,
        "standstill": state.standstill(),
        "standstill_seconds": STANDSTILL_SECONDS,
        "throughput_seconds": THROUGHPUT_SECONDS,
    }
