"""What a manifest states beyond the class."""

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


def test_what_another_collection_says_is_not_known():
    found = _of("Effusion", "folder: covid19", "COVID-19; view AP", "")
    assert {"Effusion": [1, UNKNOWN, UNKNOWN, UNKNOWN]} == found


def test_a_radiologists_mark_is_known_where_it_was_made():
    found = _of("No Finding; RSNA lung opacity=1", "Effusion; RSNA lung opacity=0", "Effusion")
    assert found == {"Effusion": [0, 1, 1], OPACITY: [1, 0, UNKNOWN]}


def test_rare_findings_are_not_learned():
    assert {} == _of("Hernia", times=auxiliary_labels.FEWEST_FILMS - 1)


def test_films_without_a_manifest_have_none():
    assert auxiliary_labels.from_manifest(["a.png"] * 30, {}) is None
