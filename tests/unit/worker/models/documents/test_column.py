"""The column of documents: models in Python, JSON in the database."""

import json

import pytest
from cards import card
from sqlalchemy import text

from worker.database import reading, transaction
from worker.errors import ModelUnavailable
from worker.models import registry
from worker.models.documents.report import OperatingPoint, Report
from worker.models.documents.retraining import RunRequest
from worker.models.records import ModelVersion, RetrainingRun


@pytest.fixture
def version(database):
    """A registered version; its id."""
    point = OperatingPoint(class_name="A", rule="Youden", threshold=0.5)
    with transaction() as session:
        row = ModelVersion(version="v-1", sha256="0" * 64, card=card(), report=Report(operating_points=(point,)))
        session.add(row)
        session.flush()
        return row.id


def raw(query):
    with reading() as session:
        return session.execute(text(query)).scalar_one()


def test_a_row_holds_the_json_and_gives_the_document(version):
    assert card().stored() == json.loads(raw("SELECT CAST(card AS TEXT) FROM model_versions"))
    assert {"operating_points": [{"class": "A", "rule": "Youden", "threshold": 0.5}]} == json.loads(
        raw("SELECT CAST(report AS TEXT) FROM model_versions")
    )
    with reading() as session:
        row = session.get_one(ModelVersion, version)
        assert (card(), "A") == (row.card, row.report.operating_points[0].class_name)


def test_a_nullable_document_is_null(database):
    with transaction() as session:
        session.add(RetrainingRun(asked_by="t", learned_from=None))

    assert raw("SELECT CAST(learned_from AS TEXT) FROM retraining_runs") is None
    assert {} == json.loads(raw("SELECT CAST(request AS TEXT) FROM retraining_runs"))
    with reading() as session:
        run = session.get_one(RetrainingRun, 1)
        assert (None, RunRequest()) == (run.learned_from, run.request)


def test_a_row_that_makes_no_sense_is_one_clear_error(version):
    with transaction() as session:
        session.execute(text("UPDATE model_versions SET card = '{\"version\": 5}'"))

    with reading() as session, pytest.raises(ModelUnavailable, match="a ModelCard that cannot be read"):
        session.get_one(ModelVersion, version)


def test_operating_points_are_read_without_the_rest_of_the_report(version):
    with reading() as session:
        assert ["A"] == [point.class_name for point in registry.operating_points(session, version)]
        assert () == registry.operating_points(session, None)
