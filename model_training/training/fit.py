"""One training run: films in, the network of the epoch that is best on validation out, and the curves that led there.

Knows no folders, no database and no test split: nothing here can be chosen by it.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model_training.data.auxiliary_labels import AuxiliaryLabels, of_films
from model_training.data.dataset import Dataset
from model_training.data.films import Films, Labels
from model_training.metrics.calibration import log_loss, loss_once_calibrated
from model_training.networks.augmentation import Augmentation
from model_training.networks.catalogue import CHANNELS, Network
from model_training.networks.hyperparameters import Hyperparameters
from model_training.training import batches, checkpoint, predictions
from model_training.training.batches import AUXILIARY_HEAD, CLASS_HEAD, Batches
from model_training.training.optimization import compile_model
from model_training.training.precision import best_precision, computing_in
from worker.models import backend

logger = logging.getLogger(__name__)

Weights = npt.NDArray[np.float32]


class Progress(Protocol):
    """What wants to know how far a run is."""

    def on_film(self, done: int, total: int) -> None:
        """Take note that `done` of `total` files are read."""

    def on_step(self) -> None:
        """Take note that one batch is learned."""

    def on_epoch(self, done: int, planned: int, logs: Mapping[str, float]) -> None:
        """Take note that `done` of `planned` epochs are over, with the loss and accuracy of the last."""


@dataclass(frozen=True)
class Fitted:
    """A trained network and how it came about."""

    #: The Keras model, without augmentation and without an optimiser's state.
    network: Any
    #: Per epoch: epoch, loss, accuracy, val_loss, val_accuracy, val_calibrated_loss, learning_rate.
    history: tuple[dict[str, float], ...]
    #: The epoch, counted from 1, whose weights were kept.
    kept_epoch: int
    seconds: float


def fit(
    network: Network,
    data: Dataset,
    hyperparameters: Hyperparameters,
    progress: Progress,
    resume_from: Path | None = None,
) -> Fitted:
    """Train a network on the split `train`, watched on `validation`; the same seed repeats it on the same machine.

    Args:
        network: what to train.
        data: the films.
        hyperparameters: how.
        progress: told of every step and epoch.
        resume_from: where the run keeps its state between epochs, and takes it up again after it was killed; it gives
            the same network as a run that was not. None: nothing is kept.

    Raises:
        FloatingPointError: the training diverged.
    """
    keras = backend.keras()
    hyperparameters = replace(hyperparameters, precision=hyperparameters.precision or best_precision())
    further = of_films(data.splits["train"].names, data.manifest) if hyperparameters.auxiliary_labels_weight else None
    train = _training_batches(data, hyperparameters, further)
    keras.utils.set_random_seed(hyperparameters.seed)
    with computing_in(str(hyperparameters.precision)):
        inner = network.build(network, len(data.classes))
        outer = _on_grey_films(inner, network, further)
    compile_model(outer, hyperparameters, len(train))
    keeper = _Keeper(
        inner,
        outer,
        validation=data.splits["validation"],
        hyperparameters=hyperparameters,
        progress=progress,
        path=resume_from,
    )
    batches.fit(
        outer, train, epochs=hyperparameters.epochs, initial_epoch=keeper.resume(), callbacks=keeper.callbacks()
    )
    return Fitted(
        _published(network, len(data.classes), keeper.weights), tuple(keeper.history), keeper.kept_epoch, keeper.seconds
    )


def _training_batches(data: Dataset, hyperparameters: Hyperparameters, further: AuxiliaryLabels | None) -> Batches:
    films = data.splits["train"]
    return Batches(
        films,
        sample_weights(films.labels, hyperparameters.class_weight_power),
        hyperparameters.batch_size,
        hyperparameters.seed,
        augment=None if hyperparameters.augmentation == Augmentation() else hyperparameters.augmentation.apply,
        further=further.targets if further else None,
    )


def sample_weights(labels: Labels, power: float) -> Weights:
    """Return a weight per film, float32, shape (n,), with mean 1 for power 0 and 1; every class must occur."""
    films = np.bincount(labels)
    per_class = (len(labels) / (len(films) * films)) ** power
    weights: Weights = per_class[labels].astype(np.float32)
    return weights


def _on_grey_films(inner: Any, network: Network, further: AuxiliaryLabels | None) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the network as it is trained: its three channels are copies made on the device, not carried there.

    With further findings it has a second head on the same features.
    """
    keras = backend.keras()
    films = keras.Input((*network.input_size, 1), dtype="uint8", name="grey_films")
    three = keras.layers.Concatenate(name="three_channels", dtype="uint8")([films] * CHANNELS)
    name = f"{network.name}_in_training"
    if further is None:
        return keras.Model(films, inner(three), name=name)
    head = inner.layers[-1]
    features = keras.Model(inner.inputs, head.input, name=f"{network.name}_features")(three)
    several = keras.layers.Dense(len(further.names), activation="sigmoid", dtype="float32", name=AUXILIARY_HEAD)
    return keras.Model(films, {CLASS_HEAD: head(features), AUXILIARY_HEAD: several(features)}, name=name)


class _Keeper:
    """Watches the epochs, remembers the weights of the one that is best on validation, and writes checkpoints.

    The best has the lowest loss once a temperature is fitted to it: a network that goes on learning to tell classes
    apart grows too sure of itself at the same time, and its bare loss rises. What is published gets a temperature, too.
    """

    def __init__(  # noqa: PLR0913 - what a run is made of
        self,
        inner: Any,  # noqa: ANN401
        outer: Any,  # noqa: ANN401
        *,
        validation: Films,
        hyperparameters: Hyperparameters,
        progress: Progress,
        path: Path | None,
    ) -> None:
        self.history: list[dict[str, float]] = []
        self.kept_epoch = 0
        self._validation = validation
        self._inner, self._outer, self._knobs, self._progress, self._path = (
            inner,
            outer,
            hyperparameters,
            progress,
            path,
        )
        self._weights: list[npt.NDArray[Any]] = []
        self._started, self._seconds_before = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """How long the run has taken, the parts before it was killed counted in."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def weights(self) -> list[npt.NDArray[Any]]:
        """The kept weights.

        Raises:
            FloatingPointError: there are none.
        """
        if not self._weights:
            message = "the validation loss was never a number: the training diverged"
            raise FloatingPointError(message)
        return self._weights

    def callbacks(self) -> list[Any]:
        """Return Keras's callbacks, in the order that they rely on."""
        callbacks = backend.keras().callbacks
        # At an epoch's end the averages come into the network, before they are kept; at the next one's beginning they
        # leave it, before the state is written.
        averages = [callbacks.SwapEMAWeights(swap_on_epoch=True)] if self._knobs.average_momentum else []
        return [
            *averages,
            callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, _logs: self._checkpoint(epoch),
                on_epoch_end=self._on_epoch_end,
                on_train_batch_end=lambda *_, **__: self._progress.on_step(),
            ),
        ]

    def resume(self) -> int:
        """Take up the state that a killed run left, and return how many epochs it had done."""
        self._outer.optimizer.build(self._outer.trainable_variables)
        state = checkpoint.read(self._path) if self._path else None
        if state is None or [a.shape for a in state.variables] != [tuple(v.shape) for v in self._variables()]:
            return 0
        for variable, value in zip(self._variables(), state.variables, strict=True):
            variable.assign(value)
        self.history, self.kept_epoch, self._weights = list(state.history), state.kept_epoch, state.kept
        self._seconds_before = state.seconds
        logger.info("going on after epoch %d", len(self.history))
        self._progress.on_epoch(len(self.history), self._knobs.epochs, self.history[-1])
        return len(self.history)

    def _variables(self) -> list[Any]:
        return [*self._outer.variables, *self._outer.optimizer.variables]

    def _checkpoint(self, epochs_done: int) -> None:
        if self._path is None or not epochs_done or epochs_done != len(self.history):
            return
        variables = [np.asarray(variable) for variable in self._variables()]
        checkpoint.write(
            self._path, checkpoint.State(self.history, self.seconds, self.kept_epoch, self._weights, variables)
        )

    def _on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        rate = float(np.asarray(self._outer.optimizer.learning_rate))
        entry = {"epoch": epoch + 1, **_of_the_class(logs), **self._judged(), "learning_rate": rate}
        best = min((past["val_calibrated_loss"] for past in self.history), default=np.inf)
        if entry["val_calibrated_loss"] < best:
            self.kept_epoch, self._weights = epoch + 1, self._inner.get_weights()
        self.history.append(entry)
        self._progress.on_epoch(epoch + 1, self._knobs.epochs, entry)
        patience = self._knobs.patience
        if patience is not None and epoch + 1 - self.kept_epoch >= patience:
            self._outer.stop_training = True

    def _judged(self) -> dict[str, float]:
        """Return what validation says of the class alone, the head that is not published left out."""
        films = self._validation
        probabilities = predictions.probabilities(self._inner, films, self._knobs.batch_size)
        weights = sample_weights(films.labels, self._knobs.class_weight_power)
        return {
            "val_accuracy": float((probabilities.argmax(axis=1) == films.labels).mean()),
            "val_loss": log_loss(probabilities, films.labels, weights),
            "val_calibrated_loss": loss_once_calibrated(probabilities, films.labels, weights),
        }


def _of_the_class(logs: Mapping[str, float]) -> dict[str, float]:
    """Return training's loss and accuracy; with a second head, those of the class alone."""
    prefix = f"{CLASS_HEAD}_" if f"{CLASS_HEAD}_loss" in logs else ""
    return {name: float(logs[prefix + name]) for name in ("accuracy", "loss")}


def _published(network: Network, classes: int, weights: list[npt.NDArray[Any]]) -> Any:  # noqa: ANN401
    """Return the network anew, computing in float32, with the kept weights and nothing of the training."""
    with computing_in("float32"):
        built = network.build(network, classes)
    built.set_weights(weights)
    return built
