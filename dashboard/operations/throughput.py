"""Films finished in the last hours, by outcome: counted in SQL, drawn as SVG, cached for half a minute."""

import itertools
import time
from datetime import datetime, timedelta

from flask import current_app, render_template
from sqlalchemy import Integer, cast, extract, func, select
from sqlalchemy.orm import Session

from worker.database import now, reading
from worker.studies.records import Image, ImageState

HOURS = 12
BAR = timedelta(minutes=30)
#: The database is asked once in this time, however many pages poll the chart.
CACHED_SECONDS = 30
OUTCOMES = (ImageState.SCORED, ImageState.REJECTED)
#: Maximum number of lines across the chart, besides the one at 0.
MAX_TICKS = 5


def chart() -> bytes:
    """Return the chart as SVG, at most `CACHED_SECONDS` old."""
    cached: tuple[float, bytes] = current_app.extensions.get("thoraq_chart", (-float(CACHED_SECONDS), b""))
    if time.monotonic() - cached[0] >= CACHED_SECONDS:
        with reading() as session:
            cached = time.monotonic(), _draw(*finished(session))
        current_app.extensions["thoraq_chart"] = cached
    return cached[1]


def finished(session: Session) -> tuple[list[datetime], dict[str, list[int]]]:
    """Return when each bar begins, oldest first, and for each outcome the number of films finished in each bar."""
    seconds = int(BAR.total_seconds())
    last = int(now().timestamp()) // seconds
    first = last - HOURS * 3600 // seconds + 1
    bar = cast(extract("epoch", Image.finished_at), Integer) // seconds
    counted = session.execute(
        select(Image.state, bar, func.count())
        .where(Image.finished_at >= datetime.fromtimestamp(first * seconds, now().tzinfo))
        .group_by(Image.state, bar)
    )
    films = {outcome.value: [0] * (last - first + 1) for outcome in OUTCOMES}
    for state, index, count in counted:
        if state in films and first <= index <= last:
            films[state][index - first] += count
    return [datetime.fromtimestamp(index * seconds, now().tzinfo) for index in range(first, last + 1)], films


def _draw(beginnings: list[datetime], films: dict[str, list[int]]) -> bytes:
    highest = max(map(sum, zip(*films.values(), strict=True)))
    step = tick_step(highest)
    return render_template(
        "operations/throughput.svg",
        beginnings=beginnings,
        films=films,
        ticks=range(0, max(highest, 1) + step, step),
    ).encode()


def tick_step(highest: int) -> int:
    """Return the distance of the lines across the chart, in films: 1, 2 or 5 times a power of ten."""
    steps = (factor * 10**power for power in itertools.count() for factor in (1, 2, 5))
    lowest: int = next(step for step in steps if highest <= step * MAX_TICKS)
    return lowest
