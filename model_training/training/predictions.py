"""What a network answers to films: probabilities, and the features from which its last layer made them.

A network is asked once; everything in a report comes from these arrays, kept by the run. Knows no report and no folder.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training.data.class_folders import LeftOut
from model_training.data.films import Films, Labels
from model_training.networks.catalogue import CHANNELS
from worker.models import backend

PREDICTIONS_FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """A network's answers to the films of one split, in their order."""

    #: Paths below the data folder, with forward slashes.
    names: tuple[str, ...]
    #: Index into the classes, shape (n,).
    labels: Labels
    #: float32, shape (n, classes), each row with the sum 1.
    probabilities: npt.NDArray[np.float32]
    #: What the last layer sees, shape (n, features); None where it was not asked for.
    features: npt.NDArray[np.floating] | None = field(default=None, repr=False)
    #: Of each film's file, hexadecimal.
    sha256: tuple[str, ...] = field(default=(), repr=False)
    #: Files that are no readable film; the report lists them, the stored answers do not.
    left_out: tuple[LeftOut, ...] = ()

    def to(self, names: Sequence[str]) -> "Predictions":
        """Return the answers to these films, in this order.

        Raises:
            KeyError: one of them was not asked about.
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
        """Return the answers to films, without their pixels."""
        return cls(films.names, films.labels, probabilities, features, films.sha256, films.left_out)


def predict(network: Any, films: Films, batch_size: int) -> Predictions:  # noqa: ANN401 - Keras has no types
    """Return the answers of a Keras model to films, with the input of its last layer, in one pass.

    Args:
        network: takes uint8, shape (n, height, width, 3); its last layer turns features into probabilities.
        films: at the network's size.
        batch_size: how many films are widened to three channels at a time.
    """
    last = network.layers[-1]
    both = backend.keras().Model(network.inputs, [last.output, last.input])
    said, seen = zip(*(both.predict_on_batch(batch) for batch in _batches(films, batch_size)), strict=True)
    features = _joined(seen, films, batch_size)
    return Predictions.of(
        films, _joined(said, films, batch_size), features.reshape(len(films), math.prod(features.shape[1:]))
    )


def probabilities(network: Any, films: Films, batch_size: int) -> npt.NDArray[np.float32]:  # noqa: ANN401
    """Return what `predict` returns, without features; a network that is asked again and again is traced once."""
    return _joined([network.predict_on_batch(batch) for batch in _batches(films, batch_size)], films, batch_size)


def _batches(films: Films, batch_size: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield films in three channels; the last batch is padded, so that the graph is traced for one shape."""
    # One batch at least, so that no film still gives arrays of the right width.
    for start in range(0, max(len(films), 1), batch_size):
        pixels = films.pixels[start : start + batch_size]
        padded = np.zeros((batch_size, *pixels.shape[1:], CHANNELS), np.uint8)
        padded[: len(pixels)] = pixels[..., None]
        yield padded


def _joined(outputs: Sequence[Any], films: Films, batch_size: int) -> npt.NDArray[np.float32]:
    """Return what was said of the films, less what was said of the padding.

    In the scope of several devices Keras asks each of them about the whole batch, and joins what they say.
    """
    return np.concatenate([np.asarray(output, np.float32)[:batch_size] for output in outputs])[: len(films)]


def save(directory: Path, answers: Mapping[str, Predictions]) -> None:
    """Write the answers by split beside a run's report; the same answers give the same bytes.

    Features are kept at half precision, which the checks that use them do not notice.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, of_split in answers.items():
        features = {} if of_split.features is None else {"features": of_split.features.astype(np.float16)}
        kept = {
            "names": np.array(of_split.names, np.str_),
            "labels": of_split.labels,
            "sha256": np.array(of_split.sha256, np.str_),
            "probabilities": of_split.probabilities.astype(np.float32),
            **features,
        }
        arrays |= {f"{split}/{name}": array for name, array in kept.items()}
    np.savez_compressed(directory / PREDICTIONS_FILE, allow_pickle=False, **arrays)


def load(directory: Path) -> dict[str, Predictions]:
    """Return the answers by split that a run kept; none where it kept none.

    Raises:
        ValueError: the file is damaged, or not one that `save` wrote.
    """
    path = directory / PREDICTIONS_FILE
    if not path.is_file():
        return {}
    try:
        # Opened here: NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            splits = dict.fromkeys(name.rpartition("/")[0] for name in arrays.files)
            return {split: _of_split(arrays, split) for split in splits}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} holds no readable predictions") from error


def _of_split(arrays: Mapping[str, npt.NDArray[Any]], split: str) -> Predictions:
    features = f"{split}/features"
    return Predictions(
        names=tuple(arrays[f"{split}/names"].tolist()),
        labels=arrays[f"{split}/labels"].astype(np.int64),
        probabilities=arrays[f"{split}/probabilities"].astype(np.float32),
        features=arrays[features].astype(np.float32) if features in arrays else None,
        sha256=tuple(arrays[f"{split}/sha256"].tolist()),
    )
