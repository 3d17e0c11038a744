"""Loads and verifies one network, warms it up, and gets probabilities and heat maps from it."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.decoding import ACCEPTED_PREPROCESSING, PREPROCESSING, Grey
from worker.errors import ModelUnavailable, NoHeatMap, RejectedImage
from worker.films.film_check import FILM_CHECK_FILE, FilmCheck, load_film_check
from worker.films.preparation import for_network
from worker.models import grad_cam
from worker.models.backend import devices, keras, memory_errors
from worker.models.directory import verified
from worker.models.documents.card import ModelCard
from worker.models.grad_cam import Heat

logger = logging.getLogger(__name__)


class Classifier:
    """A network with its card: takes uint8 films and returns a probability for each of the card's classes."""

    def __init__(
        self,
        network: Any,  # noqa: ANN401 - Keras has no types
        card: ModelCard,
        batch_size: int,
        film_check: FilmCheck | None = None,
    ) -> None:
        """Wrap a loaded network; use `load` for a network on disk."""
        self.card = card
        self.film_check = film_check
        self._network = network
        self._batch_size = batch_size

    @classmethod
    def load(cls, directory: Path, *, registered: ModelCard | None = None, batch_size: int = 32) -> "Classifier":
        """Return the verified network of a model directory, warmed up.

        Args:
            directory: a model directory.
            registered: the card in the registry; None if the directory is not registered.
            batch_size: the largest number of films that the network is given at once.

        Raises:
            ModelUnavailable: a file differs from the published one, the card does not fit the network, or the network
                needs another preprocessing.
        """
        path, card = verified(directory, registered)
        if card.preprocessing not in ACCEPTED_PREPROCESSING:
            message = f"{card.version} was trained on {card.preprocessing}; this worker prepares {PREPROCESSING}"
            raise ModelUnavailable(message)
        try:
            network = keras().saving.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            message = f"{card.version} cannot be loaded by Keras {keras().__version__}"
            raise ModelUnavailable(message) from error
        _require_fit(network, card)
        check = load_film_check(directory / FILM_CHECK_FILE, card.film_check.sha256) if card.film_check else None
        classifier = cls(network, card, batch_size, check)
        classifier.predict(np.zeros((1, *card.input_size), np.uint8))
        return classifier

    def prepare(self, film: Grey) -> Grey:
        """Return a decoded film at the network's input size: uint8, shape (height, width).

        Raises:
            RejectedImage: not_a_chest_film, if the model has a film check.
        """
        return for_network(film, self.card.input_size, self.film_check)

    def rejection(self, prepared: Grey) -> RejectedImage | None:
        """Return why `prepare` would reject a film that has the network's input size already; None if it would not."""
        try:
            self.prepare(prepared)
        except RejectedImage as error:
            return error
        return None

    def predict(self, films: Grey) -> npt.NDArray[np.float32]:
        """Return probabilities, shape (n, classes), of prepared films, uint8, shape (n, height, width).

        A batch that is not full is padded to the next power of two: a single film stays cheap, and the network's graph
        is traced for a few shapes only.
        """
        batches = [np.empty((0, len(self.card.classes)), np.float32)]
        done = 0
        while done < len(films):
            try:
                batches.append(self._predict_one_batch(films[done : done + self._batch_size]))
            except memory_errors() as error:
                self._halve_batches(error)
            done = sum(map(len, batches))
        return np.concatenate(batches)

    def heat_map(self, film: Grey, finding: str) -> Heat:
        """Return the parts of a prepared film that speak for a finding: shape of the last feature map, 0 to 1.

        Raises:
            NoHeatMap: the network has no such finding, or no feature map.
        """
        if finding not in self.card.classes:
            raise NoHeatMap(f"{self.card.version} has no finding {finding}")
        channels = np.repeat(film[np.newaxis, ..., np.newaxis], self.card.channels, axis=-1)
        return grad_cam.heat_map(self._network, channels, self.card.classes.index(finding))

    def _halve_batches(self, error: Exception) -> None:
        """Halve the batch size for as long as this network is loaded.

        Raises:
            MemoryError: the device has too little memory for one film.
        """
        if self._batch_size == 1:
            raise MemoryError("the device has too little memory for one film") from error
        self._batch_size //= 2
        logger.warning("the device has too little memory; batches have %d films from now on", self._batch_size)

    def _predict_one_batch(self, films: Grey) -> npt.NDArray[np.float32]:
        shape = min(self._batch_size, 1 << (len(films) - 1).bit_length())
        padded = np.zeros((shape, *self.card.input_size, self.card.channels), np.uint8)
        padded[: len(films)] = films[..., None]
        probabilities: npt.NDArray[np.float32] = np.asarray(self._network.predict_on_batch(padded))[: len(films)]
        return probabilities


def _require_fit(network: Any, card: ModelCard) -> None:  # noqa: ANN401 - Keras has no types
    """Check that the network takes and gives what its card says.

    Raises:
        ModelUnavailable: it does not.
    """
    takes, gives = (None, *card.input_size, card.channels), (None, len(card.classes))
    if (network.input_shape, network.output_shape) != (takes, gives):
        raise ModelUnavailable(
            f"the card of {card.version} says {takes} to {gives}; the network takes {network.input_shape} and gives "
            f"{network.output_shape}"
        )


def device_name() -> str:
    """Return the device on which the network computes, such as `tensorflow cpu` or `torch gpu`."""
    backend = keras().backend.backend()
    return f"{backend} {'gpu' if any('gpu' in name or 'cuda' in name for name in devices()) else 'cpu'}"
