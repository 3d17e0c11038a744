"""The report of a run, assembled from predictions alone."""

import json

import pytest

from model_training.data.dataset import Dataset
from model_training.report.assemble import assemble, summarize
from worker.models.documents.evaluation import Rejected
from worker.models.documents.report import Report

CLASSES = ("Covid-19", "Effusions", "No-Findings")
SIZES = {"train": 60, "validation": 48, "test": 90}


def test_the_report_is_plain_json(full_report):
    """It has no array and no NaN."""
    assert full_report == Report.model_validate_json(json.dumps(full_report.stored(), allow_nan=False))


def test_every_agreed_part_is_there(full_report):
    """The page, the text and the dashboard read them."""
    assert {
        "trained_on", "limits", "data", "training", "seconds", "history", "kept_epoch", "provenance", "train",
        "validation", "test", "external", "test_by_source", "subgroups", "without", "operating_points", "calibration",
        "source_leak", "gallery",
    } == full_report.stored().keys()  # fmt: skip
    assert SIZES == {split: full_report.of_split(split).n for split in SIZES}
    assert (30, Rejected(count=1, reasons={"corrupt": 1})) == (
        full_report.external.n,
        full_report.external.rejected,
    )


def test_provenance_says_what_is_needed_to_repeat_the_run(full_report):
    """It has the software, the device, the preprocessing, the seed and the temperature."""
    found = full_report.provenance

    assert {"thoraq", "python", "keras", "backend"} == found.software.keys()
    assert (5, 1.25, 3.0) == (found.seed, found.temperature, found.seconds)
    assert {"platform", "processor", "device", "preprocessing", "git"} <= found.stored().keys()


def test_films_are_counted_by_split_source_and_class(full_report):
    """Every second film of a split is from the north."""
    assert {"Covid-19": 15, "Effusions": 15, "No-Findings": 15} == full_report.data.sources["test"]["north"]
    assert 60 == sum(full_report.data.label_sources["train"]["drawn"].values())


def test_the_sample_of_a_class_is_the_training_film_with_the_lowest_hash(full_report, drawn_run):
    """The choice depends on the hash alone."""
    train = drawn_run.predictions["train"]
    lowest = min((digest, name) for digest, name in zip(train.sha256, train.names, strict=True) if "Covid" in name)[1]

    assert {"class": "Covid-19", "film": lowest} == full_report.data.samples[0].stored()


def test_subgroups_source_leak_and_worst_errors_are_those_of_test_films(full_report):
    """There are 90 films, 30 of them Covid-19."""
    assert {"source", "view", "sex", "age"} == {row.by for row in full_report.subgroups}
    assert 90 == sum(row.n for row in full_report.subgroups if row.by == "source")
    assert (60, ("Effusions", "No-Findings")) == (
        full_report.without["Covid-19"].n,
        full_report.without["Covid-19"].classes,
    )
    assert {"north": 45, "south": 45} == full_report.source_leak.sources
    assert all(error.film.startswith("test/") for error in full_report.worst_errors)
    assert all(error.truth != error.predicted for error in full_report.worst_errors)


def test_intervals_count_patients_where_the_manifest_names_them(full_report):
    """A patient has two films; the films of the other hospital have no manifest."""
    assert "patient" == full_report.test.bootstrap.unit
    assert "film" == full_report.external.bootstrap.unit


def test_calibration_after_scaling_is_that_of_the_published_probabilities(full_report):
    """Calibration before scaling is computed without the temperature."""
    scaling = full_report.calibration

    assert scaling.after["test"].ece == pytest.approx(full_report.test.ece)
    assert scaling.before["test"].ece != pytest.approx(full_report.test.ece)


def test_data_without_a_manifest_give_a_report_without_groups(drawn_run):
    """Source, sex and age are unknown, so the report has no groups."""
    data = Dataset(CLASSES, drawn_run.data.splits, "films", "0" * 64, {})

    report = assemble(
        data,
        drawn_run.fitted,
        drawn_run.hyperparameters,
        summary=summarize(data),
        predictions=drawn_run.predictions,
    )

    assert ((), (), None, None) == (
        report.subgroups, report.test_by_source, report.source_leak, report.external,
    )  # fmt: skip
    assert "sources" not in report.data.stored()
