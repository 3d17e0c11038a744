"""A network's predictions: probabilities, and the features from which its last layer computed them.

Each film is predicted once per run. Everything in a report is computed from these arrays, which are saved beside it.
Does not import reports.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_training.data.class_folders import LeftOut
from model_training.data.films import Films, Labels
from model_training.networks.catalogue import CHANNELS
from model_training.networks.keras_types import Array, Model
from worker.models import backend

PREDICTIONS_FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """A network's predictions for the films of one split, in the order of the films."""

    #: Paths below the data folder, with forward slashes.
    names: tuple[str, ...]
    #: Index into the classes, shape (n,).
    labels: Labels
    #: float32, shape (n, classes), each row with the sum 1.
    probabilities: npt.NDArray[np.float32]
    #: Input of the last layer, shape (n, features); None where only probabilities were computed.
    features: npt.NDArray[np.floating] | None = field(default=None, repr=False)
    #: SHA-256 of each film's file, in hexadecimal.
    sha256: tuple[str, ...] = field(default=(), repr=False)
    #: Files that are not readable films. The report lists them; `save` leaves them out.
    left_out: tuple[LeftOut, ...] = ()

    def select(self, names: Sequence[str]) -> "Predictions":
        """Return the predictions for these films, in this order.

        Raises:
            KeyError: there is no prediction for one of them.
        """
        row = {name: number for number, name in enumerate(self.names)}
        rows = [row[name] for name in names]
        return Predictions(tuple(names), self.labels[rows], self.probabilities[rows])

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.names)

    @classmethod
    def of(
        cls,
        films: Films,
        probabilities: npt.NDArray[np.float32],
        features: npt.NDArray[np.floating] | None = None,
    ) -> "Predictions":
        """Return predictions that name these films, without their pixels."""
        return cls(films.names, films.labels, probabilities, features, films.sha256, films.left_out)


def predict(network: Model, films: Films, batch_size: int) -> Predictions:
    """Return a network's probabilities for films, and the input of its last layer, computed in one pass.

    Args:
        network: takes uint8, shape (n, height, width, 3); its last layer turns features into probabilities.
        films: of the network's input size.
        batch_size: number of films that are expanded to three channels at a time.
    """
    last = network.layers[-1]
    both = backend.keras().Model(network.inputs, [last.output, last.input])
    outputs, inputs = zip(*(both.predict_on_batch(batch) for batch in _batches(films, batch_size)), strict=True)
    features = _join(inputs, films, batch_size)
    return Predictions.of(
        films, _join(outputs, films, batch_size), features.reshape(len(films), math.prod(features.shape[1:]))
    )


def probabilities(network: Model, films: Films, batch_size: int) -> npt.NDArray[np.float32]:
    """Return the same probabilities as `predict`, without features; repeated calls trace the network only once."""
    return _join([network.predict_on_batch(batch) for batch in _batches(films, batch_size)], films, batch_size)


def _batches(films: Films, batch_size: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield films in three channels; the last batch is padded, so that the graph is traced for one shape."""
    # At least one batch, so that an empty set of films still gives arrays of the right width.
    for start in range(0, max(len(films), 1), batch_size):
        pixels = films.pixels[start : start + batch_size]
        padded = np.zeros((batch_size, *pixels.shape[1:], CHANNELS), np.uint8)
        padded[: len(pixels)] = pixels[..., None]
        yield padded


def _join(outputs: Sequence[Array], films: Films, batch_size: int) -> npt.NDArray[np.float32]:
    """Return the outputs for the films, without those for the padding.

    Under a strategy for several devices, Keras runs the whole batch on each device and concatenates their outputs.
    """
    return np.concatenate([np.asarray(output, np.float32)[:batch_size] for output in outputs])[: len(films)]


def save(directory: Path, by_split: Mapping[str, Predictions]) -> None:
    """Write the predictions of each split beside a run's report; equal predictions give equal bytes.

    Features are stored at half precision, which is enough for the checks that use them.
    """
    arrays: dict[str, Array] = {}
    for split, predictions in by_split.items():
        features = {} if predictions.features is None else {"features": predictions.features.astype(np.float16)}
        stored: dict[str, Array] = {
            "names": np.array(predictions.names, np.str_),
            "labels": predictions.labels,
            "sha256": np.array(predictions.sha256, np.str_),
            "probabilities": predictions.probabilities.astype(np.float32),
            **features,
        }
        arrays |= {f"{split}/{name}": array for name, array in stored.items()}
    np.savez_compressed(directory / PREDICTIONS_FILE, allow_pickle=False, **arrays)


def load(directory: Path) -> dict[str, Predictions]:
    """Return the saved predictions of each split; an empty dict if the run saved none.

    Raises:
        ValueError: the file is damaged, or was not written by `save`.
    """
    path = directory / PREDICTIONS_FILE
    if not path.is_file():
        return {}
    try:
        # The file is opened here because NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            splits = dict.fromkeys(name.rpartition("/")[0] for name in arrays.files)
            return {split: _of_split(arrays, split) for split in splits}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} holds no readable predictions") from error


def _of_split(arrays: Mapping[str, Array], split: str) -> Predictions:
    features = f"{split}/features"
    return Predictions(
        names=tuple(arrays[f"{split}/names"].tolist()),
        labels=arrays[f"{split}/labels"].astype(np.int64),
        probabilities=arrays[f"{split}/probabilities"].astype(np.float32),
        features=arrays[features].astype(np.float32) if features in arrays else None,
        sha256=tuple(arrays[f"{split}/sha256"].tolist()),
    )
