"""Drift monitoring: one row for each day, source and version, and an alarm where a day differs."""

import io
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from cards import card
from PIL import Image as Picture
from sqlalchemy import select

from worker.database import reading, transaction
from worker.errors import Reason
from worker.films.phantoms import draw
from worker.models import registry
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.monitoring import drift_by_day
from worker.monitoring.drift import Kind
from worker.monitoring.records import DriftDay
from worker.studies import reviews
from worker.studies.records import Image, ImageState, Prediction, Priority, Rejection, Study, Submission, Verdict
from worker.submissions import intake

TODAY = date(2026, 11, 25)


@pytest.fixture
def films(database):
    """A function that records a day's scored and rejected films of one source; a version is active."""
    with transaction() as session:
        metrics = {"test": {"n": 100, "accuracy": 0.9}}
        session.add(ModelVersion(id=1, version="v", sha256="0" * 64, card=card(metrics=metrics), report=Report()))
        session.flush()
        registry.activate(session, "v", "t")

    def record(days_ago, count, *, grey=100.0, source="pacs", rejected=0, label="A"):
        random, at = np.random.default_rng(days_ago), datetime(2026, 11, 25, 9, tzinfo=UTC) - timedelta(days=days_ago)
        name = f"{source}-{days_ago}"
        with transaction() as session:
            study = Study(
                submission=Submission(
                    id=name, source=source, request_id=name, content_sha256="", priority=1, refused=[], extra={}
                )
            )
            for number in range(count):
                content = f"{name}-{number}"
                made = Prediction(
                    image_sha256=content, model_version_id=1, label=label, probability=0.9, probabilities={label: 0.9}
                )
                image = Image(
                    study=study, root="r", path=content, sha256=content, priority=1, state=ImageState.SCORED,
                    prediction=made, finished_at=at, grey_mean=float(random.normal(grey, 10)), grey_spread=40,
                    height_pixels=2000, width_pixels=1800,
                )  # fmt: skip
                session.add(image)
            for number in range(rejected):
                image = Image(
                    study=study, root="r", path=f"x{number}", priority=1, state=ImageState.REJECTED, finished_at=at
                )
                image.rejection = Rejection(reason=Reason.CORRUPT, detail="")
                session.add(image)

    return record


def alarms():
    drift_by_day.check_past_days(TODAY)
    with reading() as session:
        return [(alarm.day, alarm.source, alarm.kind) for alarm in drift_by_day.recent_alarms(session, date.min)]


def test_a_day_is_counted_per_source_and_in_all(films):
    films(1, 40, rejected=3)
    films(1, 20, source="ris", label="B")

    drift_by_day.check_past_days(TODAY)

    with reading() as session:
        rows = session.scalars(select(DriftDay).where(DriftDay.day == TODAY - timedelta(days=1))).all()
    found = {row.source: row.figures for row in rows}
    assert {"": (60, 3), "pacs": (40, 3), "ris": (20, 0)} == {
        source: (day.scored, day.rejected) for source, day in found.items()
    }
    assert {"A": 40, "B": 20} == found[""].labels
    assert 1800 == found["pacs"].moments[Kind.WIDTH].mean


def test_a_day_is_checked_once_and_today_is_not_over(films):
    films(1, 10)
    films(0, 10)
    alarms()
    alarms()

    with reading() as session:
        assert [10] == [row.figures.scored for row in drift_by_day.days(session, "pacs", date.min)]


def test_another_grey_level_raises_an_alarm_for_its_source_alone(films):
    for days_ago in range(9, 2, -1):
        films(days_ago, 50)
        films(days_ago, 50, source="ris")
    films(2, 50, grey=160)
    films(2, 50, source="ris")

    day = TODAY - timedelta(days=2)
    assert {(day, "", Kind.GREY_MEAN), (day, "pacs", Kind.GREY_MEAN)} == set(alarms())


def test_before_there_is_a_reference_there_is_no_alarm(films):
    films(3, 100)
    films(2, 100, grey=200)

    assert [] == alarms()


def test_reviewers_who_correct_every_film_raise_an_alarm(films):
    films(1, 25)
    with transaction() as session:
        for image in session.scalars(select(Image)):
            reviews.add(session, image.study_id, by=f"r{image.id}", verdict=Verdict.CORRECT, findings=["B"])

    assert [(TODAY - timedelta(days=1), "pacs", Kind.REVIEWS)] == alarms()


def test_without_an_active_version_there_is_nothing_to_check(database):
    assert [] == alarms()


def test_a_scored_film_has_its_size_and_grey_levels(eager, phantom_model):
    """The size is that of the file, and the grey levels are those of the network's input."""
    buffer = io.BytesIO()
    Picture.fromarray(draw("Opacity", 1)).save(buffer, "PNG")
    intake.submit_files([("a", buffer.getvalue())], source="t", request_id=None, priority=Priority.ROUTINE)

    with reading() as session:
        film = session.scalars(select(Image)).one()
    assert draw("Opacity", 1).shape == (film.height_pixels, film.width_pixels)
    assert 20 < film.grey_mean < 235
    assert 10 < film.grey_spread < 128
