"""The chart of the films finished in the last hours."""

from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest

from dashboard.accounts.accounts import Role
from dashboard.operations import throughput
from worker.database import now, reading, transaction
from worker.studies.records import Image


def test_films_are_counted_by_outcome_and_half_hour(rows, scores):
    """Older films are not counted."""
    rows.study(scores(Pneumonia=0.9), "blank", None, model=rows.model())
    rows.study(scores(Pneumonia=0.9), model=1)
    old = rows.study("blank")
    with transaction() as session:
        session.query(Image).filter_by(study_id=old).one().finished_at = now() - timedelta(hours=13)

    with reading() as session:
        beginnings, films = throughput.finished(session)

    assert 24 == len(beginnings) == len(films["scored"])
    assert (2, 1) == (films["scored"][-1], films["rejected"][-1])
    assert (2, 1) == (sum(films["scored"]), sum(films["rejected"]))


def test_the_chart_is_a_picture_that_is_kept_for_half_a_minute(client, auth, rows, scores):
    """Frequent polls cause one query."""
    auth.login(Role.VIEWER)
    first = client.get("/queue/chart.svg")
    rows.study(scores(Pneumonia=0.9), model=rows.model())

    assert "image/svg+xml" == first.content_type
    assert b"<svg" in first.data
    assert first.data == client.get("/queue/chart.svg").data


def test_each_bar_is_as_high_as_its_films(client, auth, rows, scores):
    """Rejected films are hatched and stacked on the scored ones."""
    rows.study(scores(Pneumonia=0.9), "blank", None, model=rows.model())
    rows.study(scores(Pneumonia=0.9), model=1)
    auth.login(Role.VIEWER)

    chart = ET.fromstring(client.get("/queue/chart.svg").data)

    bars = [bar for bar in chart.findall(".//{*}rect") if bar.find("{*}title") is not None]
    scored, rejected = [(float(bar.get("y")), float(bar.get("height"))) for bar in bars]
    assert ["2 scored", "1 rejected"] == [bar.find("{*}title").text.split(": ")[1] for bar in bars]
    assert ("#0b6d80", "url(#hatch)") == tuple(bar.get("fill") for bar in bars)
    assert pytest.approx(2 * rejected[1]) == scored[1]
    assert pytest.approx(scored[0] - rejected[1]) == rejected[0]


@pytest.mark.parametrize(("highest", "step"), [(0, 1), (5, 1), (6, 2), (11, 5), (250, 50), (251, 100), (4000, 1000)])
def test_at_most_five_lines_stand_above_zero(highest, step):
    """Their distance is 1, 2 or 5 times a power of ten."""
    assert step == throughput.tick_step(highest)
