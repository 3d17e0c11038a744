"""Labelled films and a published network: read as the worker reads them, answered as the worker answers them.

What evaluates and what compares come through here; knows no training run.
"""

from dataclasses import dataclass
from pathlib import Path

from model_training.data import manifest
from model_training.data.class_folders import DatasetError, LeftOut
from model_training.data.dataset import MANIFEST_FILE
from model_training.data.films import Films, OnFilm, read_class_folders
from model_training.data.manifest import Manifest
from model_training.training.predictions import Predictions
from worker.models.classifier import Classifier


@dataclass(frozen=True)
class PredictedFilms:
    """Films with their classes, what is known of each, and a network's answers to them."""

    predictions: Predictions
    #: The manifest's row per film name; empty where there is no manifest.
    manifest: Manifest


def predict_folder(classifier: Classifier, folder: Path, on_film: OnFilm) -> PredictedFilms:
    """Return a network's answers to a folder of class folders, or to its split `test` where it has one.

    A manifest in the folder is used, or one beside it whose rows name the folder.

    Raises:
        DatasetError: there is no film, a class that the model does not know, or a manifest that is none.
    """
    films = _accepted(
        classifier, read_class_folders(folder, classifier.card.classes, classifier.card.input_size, on_film)
    )
    predictions = Predictions.of(films, classifier.predict(films.pixels))
    return PredictedFilms(predictions, _manifest(folder.resolve(), predictions.names))


def _accepted(classifier: Classifier, films: Films) -> Films:
    """Return the films that the model's detector lets pass; the others are left out with its reason.

    Raises:
        DatasetError: it lets none pass.
    """
    refusals = [classifier.rejection(film) for film in films.pixels]
    refused = [LeftOut(name, error.reason) for name, error in zip(films.names, refusals, strict=True) if error]
    kept = [row for row, error in enumerate(refusals) if error is None]
    if not kept:
        raise DatasetError("the model takes none of the files for a film of the kind that it knows")
    return films.select(kept, refused) if refused else films


def _manifest(folder: Path, names: tuple[str, ...]) -> Manifest:
    """Return the rows of these films, by their names below the folder."""
    for root, prefix in ((folder, ""), (folder.parent, f"{folder.name}/")):
        path = root / MANIFEST_FILE
        if path.is_file():
            rows = manifest.read(path)
            found = {name: rows[prefix + name] for name in names if prefix + name in rows}
            if found or not prefix:
                return found
    return {}
