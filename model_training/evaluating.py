"""Predicts labelled films with a published network, exactly as the worker would read and score them.

`thoraq evaluate` and `thoraq compare` use it. Does not import training runs.
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
    """A network's predictions for labelled films, and what the manifest states of the films."""

    predictions: Predictions
    #: The manifest's row of each film, by name; empty if there is no manifest.
    manifest: Manifest


def predict_folder(classifier: Classifier, folder: Path, on_film: OnFilm) -> PredictedFilms:
    """Return a network's predictions for a folder of class folders, or for its split `test` if it has one.

    Uses a manifest in the folder, or one beside the folder whose rows name films in it.

    Raises:
        DatasetError: the folder has no film or a class that the model does not have, or the manifest is not readable.
    """
    films = _accepted(
        classifier, read_class_folders(folder, classifier.card.classes, classifier.card.input_size, on_film)
    )
    predictions = Predictions.of(films, classifier.predict(films.pixels))
    return PredictedFilms(predictions, _manifest(folder.resolve(), predictions.names))


def _accepted(classifier: Classifier, films: Films) -> Films:
    """Return the films that pass the model's film check; the others are left out with its reason.

    Raises:
        DatasetError: no film passes.
    """
    rejections = [classifier.rejection(film) for film in films.pixels]
    rejected = [LeftOut(name, error.reason) for name, error in zip(films.names, rejections, strict=True) if error]
    accepted = [row for row, error in enumerate(rejections) if error is None]
    if not accepted:
        raise DatasetError("the model rejects every file: none looks like a film of the kind on which it was trained")
    return films.select(accepted, rejected) if rejected else films


def _manifest(folder: Path, names: tuple[str, ...]) -> Manifest:
    """Return the manifest's rows of these films, by their names below the folder."""
    for root, prefix in ((folder, ""), (folder.parent, f"{folder.name}/")):
        path = root / MANIFEST_FILE
        if path.is_file():
            rows = manifest.read(path)
            present = {name: rows[prefix + name] for name in names if prefix + name in rows}
            if present or not prefix:
                return present
    return {}
