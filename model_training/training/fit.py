"""One training: it takes films and returns the network of the epoch that is best on validation, with its curves.

Reads neither folders nor the database nor the test split, so that nothing here can be chosen by the test films.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model_training.data import auxiliary_labels
from model_training.data.auxiliary_labels import AuxiliaryLabels
from model_training.data.dataset import Dataset
from model_training.data.films import Films, Labels
from model_training.metrics.calibration import log_loss, loss_once_calibrated
from model_training.networks.augmentation import Augmentation
from model_training.networks.catalogue import CHANNELS, Network
from model_training.networks.hyperparameters import Hyperparameters
from model_training.networks.keras_types import Array, Logs, Model, Tensor, Variable
from model_training.training import batches, checkpoint, predictions
from model_training.training.batches import AUXILIARY_HEAD, CLASS_HEAD, Batches
from model_training.training.optimization import compile_model
from model_training.training.precision import best_precision, computing_in
from worker.models import backend

logger = logging.getLogger(__name__)

Weights = npt.NDArray[np.float32]


class Progress(Protocol):
    """Receives the progress of a run."""

    def on_film(self, done: int, total: int) -> None:
        """Record that `done` of `total` files are read."""

    def on_step(self) -> None:
        """Record that one more batch is learned, which shows that the training is alive."""

    def on_epoch(self, done: int, planned: int, logs: Mapping[str, float]) -> None:
        """Record that `done` of `planned` epochs are finished, with the loss and accuracy of the last one."""


@dataclass(frozen=True)
class Fitted:
    """A trained network and the course of its training."""

    #: The Keras model, without augmentation and without the optimiser's state.
    network: Model
    #: For each epoch: epoch, loss, accuracy, val_loss, val_accuracy, val_calibrated_loss, learning_rate.
    history: tuple[dict[str, float], ...]
    #: The epoch whose weights the network has, counted from 1.
    kept_epoch: int
    seconds: float


def fit(
    network: Network,
    data: Dataset,
    hyperparameters: Hyperparameters,
    progress: Progress,
    checkpoint_path: Path | None = None,
) -> Fitted:
    """Train a network on the split `train` and choose its epoch on `validation`.

    The same seed gives the same network on the same machine.

    Args:
        network: what to train.
        data: the films.
        hyperparameters: how to train.
        progress: receives every step and epoch.
        checkpoint_path: where the state is saved between epochs. A killed run continues from it and gives the same
            network as an uninterrupted one. None: no state is saved.

    Raises:
        FloatingPointError: the training diverged.
    """
    keras = backend.keras()
    hyperparameters = replace(hyperparameters, precision=hyperparameters.precision or best_precision())
    auxiliary = None
    if hyperparameters.auxiliary_labels_weight:
        auxiliary = auxiliary_labels.from_manifest(data.splits["train"].names, data.manifest)
    train = _training_batches(data, hyperparameters, auxiliary)
    keras.utils.set_random_seed(hyperparameters.seed)
    with computing_in(str(hyperparameters.precision)):
        model = network.build(network, len(data.classes))
        training_model = _on_grey_films(model, network, auxiliary)
    compile_model(training_model, hyperparameters, len(train))
    best = _BestEpoch(
        model,
        training_model,
        validation=data.splits["validation"],
        hyperparameters=hyperparameters,
        progress=progress,
        checkpoint_path=checkpoint_path,
    )
    batches.fit(
        training_model,
        train,
        epochs=hyperparameters.epochs,
        initial_epoch=best.resume(),
        callbacks=best.callbacks(),
    )
    published = _rebuild(network, len(data.classes), best.weights)
    return Fitted(published, tuple(best.history), best.kept_epoch, best.seconds)


def _training_batches(data: Dataset, hyperparameters: Hyperparameters, auxiliary: AuxiliaryLabels | None) -> Batches:
    films = data.splits["train"]
    return Batches(
        films,
        sample_weights(films.labels, hyperparameters.class_weight_power),
        hyperparameters.batch_size,
        hyperparameters.seed,
        augment=None if hyperparameters.augmentation == Augmentation() else hyperparameters.augmentation.apply,
        auxiliary=auxiliary.targets if auxiliary else None,
    )


def sample_weights(labels: Labels, power: float) -> Weights:
    """Return a weight for each film, float32, shape (n,); their mean is 1 for power 0 and 1. Every class must occur."""
    films = np.bincount(labels)
    per_class = (len(labels) / (len(films) * films)) ** power
    weights: Weights = per_class[labels].astype(np.float32)
    return weights


def _on_grey_films(model: Model, network: Network, auxiliary: AuxiliaryLabels | None) -> Model:
    """Return the training model: it takes one grey channel, which the device copies into the network's three.

    With auxiliary labels it has a second head on the same features.
    """
    keras = backend.keras()
    films = keras.Input((*network.input_size, 1), dtype="uint8", name="grey_films")
    three = keras.layers.Concatenate(name="three_channels", dtype="uint8")([films] * CHANNELS)
    head = model.layers[-1]
    outputs: Tensor | dict[str, Tensor] = {}
    if auxiliary is None:
        outputs = model(three)
    else:
        features = keras.Model(model.inputs, head.input, name=f"{network.name}_features")(three)
        several = keras.layers.Dense(len(auxiliary.names), activation="sigmoid", dtype="float32", name=AUXILIARY_HEAD)
        outputs = {CLASS_HEAD: head(features), AUXILIARY_HEAD: several(features)}
    training_model: Model = keras.Model(films, outputs, name=f"{network.name}_in_training")
    return training_model


class _BestEpoch:
    """Observes the epochs, keeps the weights of the one that is best on validation, and writes checkpoints.

    The best epoch has the lowest loss after a temperature is fitted to it. A network that keeps learning to separate
    the classes becomes overconfident at the same time, which raises its plain loss; the published network gets a
    temperature, too.
    """

    def __init__(  # noqa: PLR0913 - each argument is one part of a run
        self,
        model: Model,
        training_model: Model,
        *,
        validation: Films,
        hyperparameters: Hyperparameters,
        progress: Progress,
        checkpoint_path: Path | None,
    ) -> None:
        self.history: list[dict[str, float]] = []
        self.kept_epoch = 0
        self._model, self._training_model, self._validation = model, training_model, validation
        self._hyperparameters, self._progress, self._checkpoint_path = hyperparameters, progress, checkpoint_path
        self._weights: Sequence[Array] = []
        self._started, self._seconds_before = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Duration of the run, including the parts before it was killed."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def weights(self) -> Sequence[Array]:
        """The weights of the best epoch.

        Raises:
            FloatingPointError: there is no best epoch.
        """
        if not self._weights:
            message = "the validation loss was never a number: the training diverged"
            raise FloatingPointError(message)
        return self._weights

    def callbacks(self) -> list[object]:
        """Return Keras's callbacks, in the order on which they rely."""
        callbacks = backend.keras().callbacks
        # At the end of an epoch the averages are swapped into the network before they are validated. At the beginning
        # of the next one they are swapped out before the checkpoint is written.
        momentum = self._hyperparameters.average_momentum
        averages = [callbacks.SwapEMAWeights(swap_on_epoch=True)] if momentum else []
        return [
            *averages,
            callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, _logs: self._write_checkpoint(epoch),
                on_epoch_end=self._on_epoch_end,
                on_train_batch_end=lambda *_, **__: self._progress.on_step(),
            ),
        ]

    def resume(self) -> int:
        """Load the checkpoint of a killed run, and return how many epochs that run had finished."""
        self._training_model.optimizer.build(self._training_model.trainable_variables)
        state = checkpoint.read(self._checkpoint_path) if self._checkpoint_path else None
        if state is None or [a.shape for a in state.variables] != [tuple(v.shape) for v in self._variables()]:
            return 0
        for variable, value in zip(self._variables(), state.variables, strict=True):
            variable.assign(value)
        self.history, self.kept_epoch, self._weights = list(state.history), state.kept_epoch, state.best_weights
        self._seconds_before = state.seconds
        logger.info("continuing after epoch %d", len(self.history))
        self._progress.on_epoch(len(self.history), self._hyperparameters.epochs, self.history[-1])
        return len(self.history)

    def _variables(self) -> list[Variable]:
        return [*self._training_model.variables, *self._training_model.optimizer.variables]

    def _write_checkpoint(self, epochs_done: int) -> None:
        if self._checkpoint_path is None or not epochs_done or epochs_done != len(self.history):
            return
        variables = [np.asarray(variable) for variable in self._variables()]
        state = checkpoint.State(self.history, self.seconds, self.kept_epoch, self._weights, variables)
        checkpoint.write(self._checkpoint_path, state)

    def _on_epoch_end(self, epoch: int, logs: Logs) -> None:
        rate = float(np.asarray(self._training_model.optimizer.learning_rate))
        entry = {"epoch": epoch + 1, **_class_figures(logs), **self._validate(), "learning_rate": rate}
        best = min((past["val_calibrated_loss"] for past in self.history), default=np.inf)
        if entry["val_calibrated_loss"] < best:
            self.kept_epoch, self._weights = epoch + 1, self._model.get_weights()
        self.history.append(entry)
        self._progress.on_epoch(epoch + 1, self._hyperparameters.epochs, entry)
        patience = self._hyperparameters.patience
        if patience is not None and epoch + 1 - self.kept_epoch >= patience:
            self._training_model.stop_training = True

    def _validate(self) -> dict[str, float]:
        """Return accuracy and losses of the class on validation; the auxiliary head is left out."""
        films = self._validation
        probabilities = predictions.probabilities(self._model, films, self._hyperparameters.batch_size)
        weights = sample_weights(films.labels, self._hyperparameters.class_weight_power)
        return {
            "val_accuracy": float((probabilities.argmax(axis=1) == films.labels).mean()),
            "val_loss": log_loss(probabilities, films.labels, weights),
            "val_calibrated_loss": loss_once_calibrated(probabilities, films.labels, weights),
        }


def _class_figures(logs: Logs) -> dict[str, float]:
    """Return loss and accuracy of the class on the training films; the auxiliary head is left out."""
    prefix = f"{CLASS_HEAD}_" if f"{CLASS_HEAD}_loss" in logs else ""
    return {name: float(logs[prefix + name]) for name in ("accuracy", "loss")}


def _rebuild(network: Network, classes: int, weights: Sequence[Array]) -> Model:
    """Return a fresh network with these weights that computes in float32 and has no traces of the training."""
    with computing_in("float32"):
        model = network.build(network, classes)
    model.set_weights(weights)
    return model
