"""Films finished in the last hours, by outcome: counted in SQL, drawn by Matplotlib, kept for half a minute."""

import io
import time
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import Integer, cast, extract, func, select
from sqlalchemy.orm import Session

from worker.database import now, reading
from worker.studies.records import Image, ImageState

HOURS = 12
BAR = timedelta(minutes=30)
#: Many readers, and a page that asks every few seconds, cost one question in this time.
KEPT_SECONDS = 30
OUTCOMES = (ImageState.SCORED, ImageState.REJECTED)
#: Colour and hatch of each outcome: the hatch tells them apart without the colour.
LOOKS = (("#0b6d80", None), ("#c2571a", "////"))


def chart() -> bytes:
    """Return the chart as SVG, at most `KEPT_SECONDS` old."""
    kept: tuple[float, bytes] = current_app.extensions.get("thoraq_chart", (-float(KEPT_SECONDS), b""))
    if time.monotonic() - kept[0] >= KEPT_SECONDS:
        with reading() as session:
            kept = time.monotonic(), _draw(*finished(session))
        current_app.extensions["thoraq_chart"] = kept
    return kept[1]


def finished(session: Session) -> tuple[list[datetime], dict[str, list[int]]]:
    """Return the beginnings of the bars, oldest first, and for each outcome the films finished in each."""
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
    from matplotlib.figure import Figure  # noqa: PLC0415 - the pages start without it
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    figure = Figure(figsize=(10, 2.4), layout="constrained")
    axes = figure.add_subplot()
    places, below = range(len(beginnings)), [0] * len(beginnings)
    for (outcome, counts), (colour, hatch) in zip(films.items(), LOOKS, strict=True):
        axes.bar(places, counts, bottom=below, color=colour, hatch=hatch, edgecolor="white", width=0.9, label=outcome)
        below = [one + other for one, other in zip(below, counts, strict=True)]
    axes.set_xticks(places[::4], [f"{moment:%H:%M}" for moment in beginnings[::4]])
    axes.set_xlabel("UTC, half an hour each")
    axes.set_ylabel("films")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper left")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    return drawn.getvalue()
