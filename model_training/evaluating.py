"""Predicts labelled films with a published network, exactly as the worker would read and score them.

`thoraq evaluate` and `thoraq compare` use it. Does not import training runs.
"""

from dataclasses import dataclass
from pathlib import Path

from model_training.data.class_folders import DatasetError, LeftOut
from model_training.data.films import Films, OnFilm, read_films
from model_training.data.formats import find_films_to_evaluate
from model_training.data.manifest import Manifest
from model_training.training.predictions import Predictions
from worker.models.classifier import Classifier


@dataclass(frozen=True)
class PredictedFilms:
    """A network's predictions for labelled films, and what the manifest states of the films."""

    predictions: Predictions
    #: The manifest's row of each film, by name; empty if there is no manifest.
    manifest: Manifest


def predict_films(classifier: Classifier, data: Path, on_film: OnFilm) -> PredictedFilms:
    """Return a network's predictions for labelled films, and what a manifest states of them.

    Args:
        classifier: the network.
        data: as for `model_training.data.formats.find_films_to_evaluate`.
        on_film: called with the number of files read and of all files.

    Raises:
        DatasetError: there is no film, or a class that the model does not have, or a manifest is not readable.
    """
    files = find_films_to_evaluate(data, classifier.card.classes)
    films = _accepted(classifier, read_films(files.listing, classifier.card.input_size, on_film))
    return PredictedFilms(Predictions.of(films, classifier.predict(films.pixels)), files.manifest)


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
