"""Feeds films to Keras batch by batch from where they are stored, so that more films can be used than fit into memory.

Order and augmentation depend on seed, epoch and film alone, so that a resumed training sees the same batches as an
uninterrupted one.
"""

import importlib
import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from model_training.data.auxiliary_labels import Targets
from model_training.data.films import Films
from model_training.networks.keras_types import Array, Model
from worker.decoding import Grey
from worker.models import backend

Weights = npt.NDArray[np.float32]
#: Amount that TensorFlow fetches at once: 32 batches of 32 films of 64 x 64 pixels.
FETCHED_BYTES = 4 * 2**20
#: Mapped pages count as this process's memory until it releases them; the system may still cache them.
PAGES_RELEASED_AFTER_BYTES = 256 * 2**20

#: Returns a randomly changed film of the same shape.
Augment = Callable[[Grey, np.random.Generator], Grey]
#: Films, labels and weights; with auxiliary labels, the latter two are dicts by the name of the head.
Batch = tuple[Grey, Array | dict[str, Array], Array | dict[str, Array]]
#: The heads of a network that also learns auxiliary labels.
CLASS_HEAD, AUXILIARY_HEAD = "findings", "other_findings"


class Batches:
    """The batches of an epoch; a sequence of (films (b, height, width, 1) uint8, labels (b,), weights (b,))."""

    def __init__(  # noqa: PLR0913 - each argument is one part of a batch
        self,
        films: Films,
        weights: Weights,
        batch_size: int,
        seed: int,
        *,
        augment: Augment | None = None,
        auxiliary: Targets | None = None,
    ) -> None:
        """Start at epoch 0.

        Args:
            films: mapped from a file or in memory; they are read batch by batch.
            weights: weight of each film in the loss, shape (n,).
            batch_size: number of films in each batch; the last one may have fewer.
            seed: decides the order and the augmentation.
            augment: changes each film, differently in each epoch.
            auxiliary: if given, labels are {"findings": (b,), "other_findings": (b, findings)}, and so are the weights.
        """
        self._pixels = np.asarray(films.pixels)[..., None]  # A view. Rows of a plain array are indexed faster.
        self._labels, self._weights = films.labels, weights
        self.batch_size, self._seed, self._epoch = batch_size, seed, 0
        self._augment, self._auxiliary = augment, auxiliary
        self._mapping, self._read_bytes = _mapping_of(films.pixels), 0
        self._order: npt.NDArray[np.int64] = np.arange(len(films))
        self.start(0)

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self._order) / self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        """Return a batch of the current epoch."""
        rows = self._order[number * self.batch_size : (number + 1) * self.batch_size]
        pixels = self._pixels[rows]
        self._release_pages(pixels.nbytes)
        if self._augment is not None:
            pixels = np.stack([self._augmented(int(row), film) for row, film in zip(rows, pixels, strict=True)])
        labels, weights = self._labels[rows], self._weights[rows]
        if self._auxiliary is None:
            return pixels, labels, weights
        equal_weights = np.ones(len(rows), np.float32)
        return (
            pixels,
            {CLASS_HEAD: labels, AUXILIARY_HEAD: self._auxiliary[rows].astype(np.float32)},
            {CLASS_HEAD: weights, AUXILIARY_HEAD: equal_weights},
        )

    def _augmented(self, row: int, film: Grey) -> Grey:
        rng = np.random.default_rng((self._seed, self._epoch, row))
        return self._augment(film[..., 0], rng)[..., None] if self._augment else film

    def start(self, epoch: int) -> None:
        """Shuffle the films for an epoch, counted from 0."""
        self._epoch = epoch
        self._order = np.random.default_rng((self._seed, epoch)).permutation(len(self._order))

    def _release_pages(self, read_bytes: int) -> None:
        """Release the pages of the mapping from time to time, so that memory stays bounded for any number of films."""
        self._read_bytes += read_bytes
        if self._mapping is not None and self._read_bytes >= PAGES_RELEASED_AFTER_BYTES:
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._read_bytes = 0


def _mapping_of(pixels: Grey) -> mmap.mmap | None:
    """Return the memory mapping that holds an array, or None if the array is in memory."""
    owner: object = pixels
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner if isinstance(owner, mmap.mmap) else None


def fit(
    model: Model,
    train: Batches,
    *,
    epochs: int,
    initial_epoch: int = 0,
    callbacks: Sequence[object] = (),
) -> object:
    """Train a compiled model from epoch `initial_epoch` on, without output, and return Keras's history.

    Keras's own shuffling is off: it depends on a global random state, which a checkpoint does not contain.
    """
    keras = backend.keras()

    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, _logs: train.start(epoch),
        # Called after the first batch: TensorFlow changes the memory settings when it starts to read.
        on_train_batch_end=lambda batch, **_: None if batch else backend.keep_freed_memory(),
    )
    return model.fit(
        for_keras(train),
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[clock, *callbacks],
        shuffle=False,
        verbose=0,
    )


def for_keras(batches: Batches) -> Iterable[Batch]:
    """Return batches in a form that Keras accepts: a `tf.data.Dataset` for TensorFlow, else a `PyDataset`."""
    if backend.keras().backend.backend() == "tensorflow":
        return _for_tensorflow(batches)
    return _dataset_class()(batches)


def _for_tensorflow(batches: Batches) -> Iterable[Batch]:
    """Return the same batches in the same order as a `tf.data.Dataset`.

    TensorFlow fetches several batches at once from Python and splits them itself. A fetch takes about as long as
    feeding a batch from memory, and a `PyDataset` needs one fetch for each batch.
    """
    tf = importlib.import_module("tensorflow")

    first = batches[0]
    at_once = max(1, FETCHED_BYTES // first[0].nbytes)

    def fetched() -> Iterator[Batch]:
        for start in range(0, len(batches), at_once):
            parts = [batches[number] for number in range(start, min(start + at_once, len(batches)))]
            yield tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    signature = tf.nest.map_structure(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), first)
    films = tf.data.Dataset.from_generator(fetched, output_signature=signature).prefetch(1)
    dataset: Iterable[Batch] = (
        films.rebatch(batches.batch_size)
        .apply(tf.data.experimental.assert_cardinality(len(batches)))
        .prefetch(tf.data.AUTOTUNE)
    )
    return dataset


@cache
def _dataset_class() -> Callable[[Batches], Iterable[Batch]]:
    """Return the subclass of `keras.utils.PyDataset`. It is created on first use because Keras is imported late."""

    class Dataset(backend.keras().utils.PyDataset):  # type: ignore[misc]
        def __init__(self, batches: Batches) -> None:
            super().__init__()
            self._batches = batches

        def __len__(self) -> int:
            return len(self._batches)

        def __getitem__(self, number: int) -> Batch:
            return self._batches[number]

    return Dataset
