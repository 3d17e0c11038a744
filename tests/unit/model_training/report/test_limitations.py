"""The limits that are shown beside every figure."""

import numpy as np
import pytest

from model_training.data.class_folders import LeftOut
from model_training.data.dataset import Dataset
from model_training.data.films import Films
from model_training.report.limitations import limits_of


def data_set(rows, *, manifest=True, kind="films", left_out=()):
    """Return a data set of rows (split, class, source, patient known, several findings) without pixels."""
    classes = tuple(sorted({name for _, name, *_ in rows}))
    named = [(f"{split}/{name}/{index}.png", row) for index, row in enumerate(rows) for split, name, *_ in [row]]
    splits = {
        split: Films(
            pixels=np.empty((0, 1, 1), np.uint8),
            labels=np.array([classes.index(row[1]) for _, row in named if row[0] == split], np.int64),
            names=tuple(name for name, row in named if row[0] == split),
            left_out=left_out if split == "train" else (),
        )
        for split in ("train", "validation", "test")
    }
    table = {
        name: {"source_repo": row[2], "patient_id": name, "patient_known": row[3], "multi_label": row[4]}
        for name, row in named
    }
    return Dataset(classes, splits, kind, "0" * 64, table if manifest else {})


ROWS = [
    (split, name, source, known, several)
    for split in ("train", "validation", "test")
    for name, source, known, several in (
        ("Covid-19", "covid hospital", "yes", "0"),
        ("Effusions", "mixed", "yes", "1"),
        ("Pneumonia", "mixed", "no", "0"),
    )
]


def test_phantoms_say_nothing_about_patients():
    """The first sentence says so, and no sentence is about the data."""
    limits = limits_of(data_set(ROWS, kind="phantoms"))

    assert "Trained on drawn phantoms: says nothing about patients." == limits[0]
    assert 2 == len(limits)


@pytest.mark.parametrize(
    "sentence",
    [
        "Research use only; not a medical device.",
        "Learned from 3 films and tested on 3, with few of Covid-19 (1), Effusions (1) and Pneumonia (1)",
        "for 3 of 9 films the patient is not known",
        "3 of 9 films carry more",
        "Source and class coincide for Covid-19 (3 of 3 films)",
        "the collection alone names 2 of 3 test films rightly (67%), the commonest class 33%",
    ],
)
def test_limits_from_the_manifest_have_their_counts(sentence):
    """The counts come from the data."""
    assert any(sentence in limit for limit in limits_of(data_set(ROWS)))


def test_without_a_manifest_patients_and_sources_are_unknown():
    """The limits state what is unknown, too."""
    limits = limits_of(data_set(ROWS, manifest=False))

    assert any("a patient may be in two splits" in limit for limit in limits)
    assert not any("coincide" in limit for limit in limits)


def test_files_that_were_left_out_are_counted():
    """A reader of n must know how many files were left out."""
    limits = limits_of(data_set(ROWS, left_out=(LeftOut("train/Covid-19/x.png", "corrupt"),)))

    assert any(limit.endswith("were left out: 1.") for limit in limits)
