"""One loaded network: verified, warmed up, and asked for probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.backend import keras
from worker.decoding import ACCEPTED_PREPROCESSING, PREPROCESSING, Grey, resize
from worker.errors import ModelUnavailable, RejectedImage
from worker.plausibility import FILM_CHECK_FILE, FilmCheck, load_film_check
from worker.registry import ModelCard, verified


class Classifier:
    """A network with its card: uint8 films in, probabilities under the card's classes out."""

    def __init__(
        self,
        network: Any,  # noqa: ANN401 - Keras has no types
        card: ModelCard,
        batch_size: int,
        film_check: FilmCheck | None = None,
    ) -> None:
        """Wrap a loaded network; `load` is the way to get one from disk."""
        self.card = card
        self._film_check = film_check
        self._network = network
        self._batch_size = batch_size

    @classmethod
    def load(cls, directory: Path, *, sha256: str | None = None, batch_size: int = 32) -> "Classifier":
        """Return the verified network of a model directory, warmed up.

        Raises:
            ModelUnavailable: the file is not the one published, or needs another preprocessing than ours.
        """
        path, card = verified(directory, sha256)
        if card.preprocessing not in ACCEPTED_PREPROCESSING:
            message = f"{card.version} was trained on {card.preprocessing}; this worker prepares {PREPROCESSING}"
            raise ModelUnavailable(message)
        try:
            network = keras().saving.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            message = f"{card.version} cannot be loaded by Keras {keras().__version__}"
            raise ModelUnavailable(message) from error
        check = load_film_check(directory / FILM_CHECK_FILE, card.film_check.sha256) if card.film_check else None
        classifier = cls(network, card, batch_size, check)
        classifier.predict(np.zeros((1, *card.input_size), np.uint8))
        return classifier

    def prepare(self, film: Grey) -> Grey:
        """Return a decoded film at the network's input size: uint8, shape (height, width).

        Raises:
            RejectedImage: not_a_chest_film, where the model has a detector.
        """
        prepared = resize(film, self.card.input_size)
        if self._film_check is not None:
            self._film_check.check(prepared)
        return prepared

    def refusal(self, prepared: Grey) -> RejectedImage | None:
        """Return why `prepare` refuses a film that has the network's input size already; None where it does not."""
        try:
            self.prepare(prepared)
        except RejectedImage as error:
            return error
        return None

    def predict(self, films: Grey) -> npt.NDArray[np.float32]:
        """Return probabilities, shape (n, classes), of prepared films, uint8, shape (n, height, width).

        A batch that is not full is padded to the next power of two: one film costs one film, and the network's graph
        is traced for a few shapes only.
        """
        size = self._batch_size
        answers = [self._predict_one_batch(films[start : start + size]) for start in range(0, len(films), size)]
        return np.concatenate(answers) if answers else np.empty((0, len(self.card.classes)), np.float32)

    def _predict_one_batch(self, films: Grey) -> npt.NDArray[np.float32]:
        shape = min(self._batch_size, 1 << (len(films) - 1).bit_length())
        padded = np.zeros((shape, *self.card.input_size, self.card.channels), np.uint8)
        padded[: len(films)] = films[..., None]
        probabilities: npt.NDArray[np.float32] = np.asarray(self._network.predict_on_batch(padded))[: len(films)]
        return probabilities


def device_name() -> str:
    """Return what the network computes on, such as `tensorflow cpu` or `torch gpu`."""
    devices = [name.lower() for name in keras().distribution.list_devices()]
    kind = "gpu" if any("gpu" in name or "cuda" in name for name in devices) else "cpu"
    return f"{keras().backend.backend()} {kind}"
