"""Auxiliary labels are read from a manifest."""

import numpy as np

from model_training.data import auxiliary_labels
from model_training.data.auxiliary_labels import OPACITY, UNKNOWN


def _of(*labels: str, times: int = auxiliary_labels.FEWEST_FILMS) -> dict[str, list[int]]:
    names = [f"{number}.png" for number in range(len(labels) * times)]
    manifest = {name: {"original_labels": labels[number % len(labels)]} for number, name in enumerate(names)}
    found = auxiliary_labels.from_manifest(names, manifest)
    if found is None:
        return {}
    assert found.targets.dtype == np.int8
    return {name: found.targets[: len(labels), index].tolist() for index, name in enumerate(found.names)}


def test_a_list_of_findings_is_complete():
    assert {"Effusion": [1, 0, 0], "Nodule": [1, 1, 0]} == _of("Effusion|Nodule", "Nodule", "No Finding")


def test_labels_of_another_collection_are_unknown():
    found = _of("Effusion", "folder: covid19", "COVID-19; view AP", "")
    assert {"Effusion": [1, UNKNOWN, UNKNOWN, UNKNOWN]} == found


def test_a_radiologists_mark_is_known_on_its_films():
    found = _of("No Finding; RSNA lung opacity=1", "Effusion; RSNA lung opacity=0", "Effusion")
    assert found == {"Effusion": [0, 1, 1], OPACITY: [1, 0, UNKNOWN]}


def test_rare_findings_are_not_learned():
    assert {} == _of("Hernia", times=auxiliary_labels.FEWEST_FILMS - 1)


def test_films_without_a_manifest_have_no_auxiliary_labels():
    assert auxiliary_labels.from_manifest(["a.png"] * 30, {}) is None
