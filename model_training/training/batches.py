"""Films for Keras, batch by batch from where they lie: a network learns from more films than fit into memory.

Order and augmentation are functions of seed, epoch and film alone, so that a run that is taken up again sees what it
would have seen. Knows no network.
"""

import importlib
import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training.data.auxiliary_labels import Targets
from model_training.data.films import Films
from worker.decoding import Grey
from worker.models import backend

Weights = npt.NDArray[np.float32]
#: What TensorFlow fetches at once: 32 batches of 32 films of 64 pixels.
FETCHED_BYTES = 4 * 2**20
#: Mapped pages count as this process's memory until it gives them back; the system still has them.
PAGES_GIVEN_BACK_AFTER_BYTES = 256 * 2**20

#: Returns a deformed film of the same shape.
Augment = Callable[[Grey, np.random.Generator], Grey]
#: Films, labels, weights; with further findings, the latter two by the name of the head.
Batch = tuple[Grey, Any, Any]
#: The heads of a network that learns further findings.
CLASS_HEAD, AUXILIARY_HEAD = "findings", "further"


class Batches:
    """The batches of an epoch; a sequence of (films (b, height, width, 1) uint8, labels (b,), weights (b,))."""

    def __init__(  # noqa: PLR0913 - what a batch is made of
        self,
        films: Films,
        weights: Weights,
        batch_size: int,
        seed: int,
        *,
        augment: Augment | None = None,
        further: Targets | None = None,
    ) -> None:
        """Stand at epoch 0.

        Args:
            films: mapped or in memory; they are read batch by batch.
            weights: how much each film counts, shape (n,).
            batch_size: films of each batch but the last, which may have fewer.
            seed: shuffles and augments.
            augment: deforms each film, anew in each epoch.
            further: labels are then {"findings": (b,), "further": (b, findings)}, and so are the weights.
        """
        self._pixels = np.asarray(films.pixels)[..., None]  # A view; a plain array's rows are found faster.
        self._labels, self._weights = films.labels, weights
        self.batch_size, self._seed, self._epoch = batch_size, seed, 0
        self._augment, self._further = augment, further
        self._mapping, self._read_bytes = _mapping_of(films.pixels), 0
        self._order: npt.NDArray[np.int64] = np.arange(len(films))
        self.start(0)

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self._order) / self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        """Return a batch of the present epoch."""
        rows = self._order[number * self.batch_size : (number + 1) * self.batch_size]
        pixels = self._pixels[rows]
        self._give_back_pages(pixels.nbytes)
        if self._augment is not None:
            pixels = np.stack([self._deformed(int(row), film) for row, film in zip(rows, pixels, strict=True)])
        labels, weights = self._labels[rows], self._weights[rows]
        if self._further is None:
            return pixels, labels, weights
        alike = np.ones(len(rows), np.float32)
        return (
            pixels,
            {CLASS_HEAD: labels, AUXILIARY_HEAD: self._further[rows].astype(np.float32)},
            {CLASS_HEAD: weights, AUXILIARY_HEAD: alike},
        )

    def _deformed(self, row: int, film: Grey) -> Grey:
        chance = np.random.default_rng((self._seed, self._epoch, row))
        return self._augment(film[..., 0], chance)[..., None] if self._augment else film

    def start(self, epoch: int) -> None:
        """Take the order of an epoch, counted from 0."""
        self._epoch = epoch
        self._order = np.random.default_rng((self._seed, epoch)).permutation(len(self._order))

    def _give_back_pages(self, read_bytes: int) -> None:
        """Give back the pages of the mapping, now and then: memory stays bounded however many films there are."""
        self._read_bytes += read_bytes
        if self._mapping is not None and self._read_bytes >= PAGES_GIVEN_BACK_AFTER_BYTES:
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._read_bytes = 0


def _mapping_of(pixels: Grey) -> mmap.mmap | None:
    """Return the mapping in which an array lies; None for one in memory."""
    owner: object = pixels
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner if isinstance(owner, mmap.mmap) else None


def fit(
    model: Any,  # noqa: ANN401 - Keras has no types
    train: Batches,
    *,
    epochs: int,
    initial_epoch: int = 0,
    callbacks: Sequence[Any] = (),
) -> Any:  # noqa: ANN401
    """Fit a compiled Keras model from epoch `initial_epoch` on, silently, and return Keras's history.

    Keras's own shuffling is off: it reorders batches by a global random state, which no checkpoint holds.
    """
    keras = backend.keras()

    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, _logs: train.start(epoch),
        # By then TensorFlow has begun to read, and has changed how memory is kept.
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


def for_keras(batches: Batches) -> Any:  # noqa: ANN401
    """Return batches as Keras takes them: for TensorFlow its own kind of data set, else a `keras.utils.PyDataset`."""
    if backend.keras().backend.backend() == "tensorflow":
        return _for_tensorflow(batches)
    return _dataset_class()(batches)


def _for_tensorflow(batches: Batches) -> Any:  # noqa: ANN401
    """Return batches as a `tf.data.Dataset`, which holds the same batches in the same order.

    TensorFlow fetches several at once from Python and parts them itself: a fetch costs about as long as feeding a
    batch from memory does, and a `PyDataset` needs one for each.
    """
    tf: Any = importlib.import_module("tensorflow")

    first = batches[0]
    at_once = max(1, FETCHED_BYTES // first[0].nbytes)

    def fetched() -> Iterator[Batch]:
        for start in range(0, len(batches), at_once):
            parts = [batches[number] for number in range(start, min(start + at_once, len(batches)))]
            yield tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    signature = tf.nest.map_structure(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), first)
    films = tf.data.Dataset.from_generator(fetched, output_signature=signature).prefetch(1)
    counted = films.rebatch(batches.batch_size).apply(tf.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(tf.data.AUTOTUNE)


@cache
def _dataset_class() -> Any:  # noqa: ANN401
    """Return the subclass of `keras.utils.PyDataset`; made late, since Keras is imported late."""

    class Dataset(backend.keras().utils.PyDataset):  # type: ignore[misc]
        def __init__(self, batches: Batches) -> None:
            super().__init__()
            self._batches = batches

        def __len__(self) -> int:
            return len(self._batches)

        def __getitem__(self, number: int) -> Batch:
            return self._batches[number]

    return Dataset
