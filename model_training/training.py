"""One training run: arrays in, the network with the best validation loss out, and the curves that led there.

All knobs stand in `Knobs`. Knows no files, no database and no test split: nothing here can be chosen by it.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model_training.dataset import Dataset
from model_training.films import Films, Labels
from model_training.networks import CHANNELS, Network
from worker import backend

Weights = npt.NDArray[np.float32]

KEPT_BY = "the lowest validation loss, its classes weighted by the same formula as in training"


@dataclass(frozen=True)
class Knobs:
    """Every choice of a training run but the network and the data."""

    epochs: int
    seed: int
    optimizer: str
    learning_rate: float
    batch_size: int = 32
    #: A class weighs (films / (classes * films of the class)) ** power: 1 makes all classes count alike, 0 all films.
    #: This and the augmentation below gave the best validation figures of four tried settings.
    class_weight_power: float = 0.5
    #: Augmentation after the paper's idea: slant, zoom and shift are drawn uniformly up to these shares of the side.
    #: No mirror image: the side on which the heart lies matters.
    shear: float = 0.1
    zoom: float = 0.1
    shift: float = 0.05

    @classmethod
    def of(cls, network: Network, *, epochs: int | None = None, seed: int = 0) -> "Knobs":
        """Return a network's own knobs, with the number of epochs replaced where one is given."""
        return cls(epochs or network.epochs, seed, network.optimizer, network.learning_rate)

    def recorded(self) -> dict[str, Any]:
        """Return every knob and the rule of keeping, for the card."""
        return {**asdict(self), "kept_by": KEPT_BY}


class Progress(Protocol):
    """What wants to know how far a run is."""

    def on_film(self, done: int, total: int) -> None:
        """Take note that `done` of `total` files are read."""

    def on_step(self) -> None:
        """Take note that one batch is learned: a sign of life."""

    def on_epoch(self, done: int, planned: int, logs: Mapping[str, float]) -> None:
        """Take note that `done` of `planned` epochs are over, with the loss and accuracy of the last."""


@dataclass(frozen=True)
class Fitted:
    """A trained network and how it came about."""

    #: The Keras model, without augmentation and without an optimiser's state.
    network: Any
    #: Per epoch: epoch, loss, accuracy, val_loss, val_accuracy.
    history: tuple[dict[str, float], ...]
    #: The epoch, counted from 1, whose weights were kept.
    kept_epoch: int
    seconds: float


class _Keeper:
    """Watches the epochs and remembers the weights of the one with the lowest validation loss."""

    def __init__(self, network: Any, epochs: int, progress: Progress) -> None:  # noqa: ANN401 - Keras has no types
        self.history: list[dict[str, float]] = []
        self.kept_epoch = 0
        self._network, self._epochs, self._progress = network, epochs, progress
        self._weights: list[Weights] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        entry = {"epoch": epoch + 1, **{name: float(logs[name]) for name in sorted(logs)}}
        best = min((past["val_loss"] for past in self.history), default=np.inf)
        if entry["val_loss"] < best:
            self.kept_epoch, self._weights = epoch + 1, self._network.get_weights()
        self.history.append(entry)
        self._progress.on_epoch(epoch + 1, self._epochs, entry)

    def restore(self) -> None:
        if not self._weights:
            message = "the validation loss was never a number: the training diverged"
            raise FloatingPointError(message)
        self._network.set_weights(self._weights)


def fit(network: Network, data: Dataset, knobs: Knobs, progress: Progress) -> Fitted:
    """Train a network on the split `train`, watched on `validation`; the same seed repeats it on the same machine.

    Raises:
        FloatingPointError: the training diverged.
    """
    keras = backend.keras()

    started = time.monotonic()
    keras.utils.set_random_seed(knobs.seed)
    inner = network.build(network, len(data.classes))
    outer = _augmented(inner, network, knobs)
    outer.compile(
        optimizer=keras.optimizers.get(
            {"class_name": knobs.optimizer, "config": {"learning_rate": knobs.learning_rate}}
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=[],
    )
    keeper = _Keeper(inner, knobs.epochs, progress)
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=keeper.on_epoch_end, on_train_batch_end=lambda *_, **__: progress.on_step()
    )
    train, validation = data.splits["train"], data.splits["validation"]
    outer.fit(
        train.pixels[..., None],
        train.labels,
        sample_weight=sample_weights(train.labels, knobs.class_weight_power),
        validation_data=(
            validation.pixels[..., None],
            validation.labels,
            sample_weights(validation.labels, knobs.class_weight_power),
        ),
        batch_size=knobs.batch_size,
        epochs=knobs.epochs,
        callbacks=[watch],
        verbose=0,
    )
    keeper.restore()
    return Fitted(inner, tuple(keeper.history), keeper.kept_epoch, time.monotonic() - started)


def sample_weights(labels: Labels, power: float) -> Weights:
    """Return a weight per film, float32, shape (n,), with mean 1 for power 0 and 1; every class must occur."""
    films = np.bincount(labels)
    per_class = (len(labels) / (len(films) * films)) ** power
    weights: Weights = per_class[labels].astype(np.float32)
    return weights


def _augmented(inner: Any, network: Network, knobs: Knobs) -> Any:  # noqa: ANN401
    """Return the network behind layers that deform films while it learns, and do nothing when it answers.

    Their output is cut to bytes again at the inner network's input: it learns on 8-bit films, as it will be used.
    """
    keras = backend.keras()

    layers = keras.layers
    films = keras.Input((*network.input_size, 1), dtype="uint8", name="grey_films")
    x = layers.RandomShear(knobs.shear, knobs.shear, fill_mode="nearest", name="shear")(films)
    x = layers.RandomZoom(knobs.zoom, knobs.zoom, fill_mode="nearest", name="zoom")(x)
    x = layers.RandomTranslation(knobs.shift, knobs.shift, fill_mode="nearest", name="shift")(x)
    x = layers.Concatenate(name="three_channels")([x] * CHANNELS)
    return keras.Model(films, inner(x), name=f"{network.name}_in_training")


def predict(network: Any, films: Films, batch_size: int) -> npt.NDArray[np.float32]:  # noqa: ANN401
    """Return probabilities, shape (n, classes), of films, uint8, shape (n, height, width), by a Keras model."""
    answers = [
        np.asarray(network.predict_on_batch(np.repeat(batch[..., None], CHANNELS, axis=-1)))
        for batch in np.split(films.pixels, range(batch_size, len(films), batch_size))
    ]
    return np.concatenate(answers)
