"""The picture of the last hours."""

from datetime import timedelta

from dashboard.accounts.accounts import Role
from dashboard.operations import throughput
from worker.database import now, reading, transaction
from worker.studies.records import Image


def test_films_are_counted_by_outcome_and_half_hour(rows, scores):
    """Older ones are left out."""
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
    """A page that asks every few seconds costs one question."""
    auth.login(Role.VIEWER)
    first = client.get("/queue/chart.svg")
    rows.study(scores(Pneumonia=0.9), model=rows.model())

    assert "image/svg+xml" == first.content_type
    assert b"<svg" in first.data
    assert first.data == client.get("/queue/chart.svg").data
