"""Documents that 7ff12bd stored are read, have their figures, and are written with the same keys."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cards import card
from pydantic import ValidationError

from worker.errors import ModelUnavailable, UnreadableDocument
from worker.models import directory as model_directory
from worker.models.documents.card import ModelCard
from worker.models.documents.evaluation import ClassFigures, Evaluation, OverallFigures
from worker.models.documents.report import Report
from worker.models.documents.retraining import LearnedFrom, RunRequest
from worker.models.documents.verdict import Verdict
from worker.monitoring.drift import Day

STORED = Path(__file__).parent / "stored"
KINDS = {
    "card": ModelCard,
    "card-by-hand": ModelCard,
    "report": Report,
    "evaluation": Evaluation,
    "verdict": Verdict,
    "verdict-refused": Verdict,
    "verdict-nothing-active": Verdict,
    "learned_from": LearnedFrom,
    "learned_from-base-set-alone": LearnedFrom,
}


def stored(name):
    return json.loads((STORED / f"{name}.json").read_text())


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_stored_document_is_read_and_written_with_the_same_json(name, kind):
    assert stored(name) == kind.model_validate(stored(name)).stored()


@pytest.mark.parametrize("directory", model_directory.SHIPPED)
def test_the_shipped_reports_are_read_and_written_with_the_same_json(directory):
    assert json.loads((directory / "report.json").read_bytes()) == model_directory.read_report(directory).stored()


@pytest.mark.parametrize("directory", model_directory.SHIPPED)
def test_the_shipped_cards_are_written_with_a_film_check_or_null(directory):
    written = model_directory.read_card(directory).stored()

    assert {"film_check": None} | json.loads((directory / "card.json").read_bytes()) == written


@pytest.mark.parametrize("request_", stored("request"))
def test_a_request_has_only_what_differs_from_the_settings(request_):
    assert request_ == RunRequest.model_validate(request_).stored()


@pytest.mark.parametrize("figures", stored("figures"))
def test_the_figures_of_a_day_are_read_and_written_with_the_same_json(figures):
    assert figures == Day.model_validate(figures).stored()


def test_the_attributes_of_a_report_are_its_figures():
    stored_report = stored("report")

    report = Report.model_validate(stored_report)

    assert stored_report["test"]["overall"]["Accuracy"] == report.tested.overall.accuracy
    assert stored_report["test"]["auroc"]["macro"] == report.tested.macro_auroc == report.tested.macro.auroc
    name = report.tested.classes[0]
    assert stored_report["test"]["byClass"][name]["Balanced Accuracy"] == report.tested.by_class[name].balanced_accuracy
    assert stored_report["operating_points"][0]["class"] == report.operating_points[0].class_name


def test_figures_have_carets_names_in_json():
    assert [
        "Accuracy",
        "Kappa",
        "AccuracyLower",
        "AccuracyUpper",
        "AccuracyNull",
        "AccuracyPValue",
        "McnemarPValue",
    ] == [*OverallFigures().model_dump(by_alias=True)]
    assert [*ClassFigures().model_dump(by_alias=True)] == [*ClassFigures().by_name()]
    assert {"Sensitivity", "Pos Pred Value", "F1", "Balanced Accuracy"} <= ClassFigures().by_name().keys()


def test_an_undefined_figure_stays_null_and_a_missing_one_stays_missing():
    assert {"Kappa": None} == OverallFigures.model_validate({"Kappa": None}).stored()


def test_further_keys_are_kept():
    """A later release may write more."""
    assert {"passed": True, "colour": [1, {"a": None}]} == Verdict.model_validate(
        {"passed": True, "colour": [1, {"a": None}]}
    ).stored()


def test_a_document_never_changes():
    with pytest.raises(ValidationError):
        Verdict(passed=True).passed = False


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
def test_a_figure_is_a_finite_number(figure):
    with pytest.raises(ValidationError):
        OverallFigures(accuracy=figure)


def test_a_training_date_without_a_zone_is_utc():
    """Old cards have none."""
    assert datetime(2026, 11, 23, tzinfo=UTC) == card(trained_at="2026-11-23T00:00:00").trained_at


@pytest.mark.parametrize("text", ["[]", "{", '{"test": 5}', '{"history": {"loss": [1.0]}}'])
def test_a_report_that_makes_no_sense_is_one_clear_error(tmp_path, text):
    (tmp_path / "report.json").write_text(text)

    with pytest.raises(UnreadableDocument, match=r"no readable report\.json"):
        model_directory.read_report(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"version": "v-1"}'])
def test_a_card_that_makes_no_sense_is_one_clear_error(tmp_path, text):
    (tmp_path / "card.json").write_text(text)

    with pytest.raises(ModelUnavailable, match="no readable card"):
        model_directory.read_card(tmp_path)


def test_a_report_without_test_films_says_so():
    with pytest.raises(UnreadableDocument, match="no evaluation of test films"):
        Report().tested  # noqa: B018 - the property raises
