"""Which epoch's weights a training publishes: the one that is best on validation."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_training.data.films import Films
from model_training.metrics.calibration import log_loss, loss_once_calibrated
from model_training.networks.hyperparameters import Hyperparameters
from model_training.networks.keras_types import Array, Logs, Model, Variable
from model_training.training import checkpoint, predictions
from model_training.training.batches import CLASS_HEAD
from model_training.training.class_weights import sample_weights
from model_training.training.progress import Progress
from worker.models import backend

logger = logging.getLogger(__name__)


class BestEpoch:
    """Observes the epochs, keeps the weights of the one that is best on validation, and writes checkpoints.

    The best epoch has the lowest loss after a temperature is fitted to it. A network that keeps learning to separate
    the classes becomes overconfident at the same time, which raises its plain loss; the published network gets a
    temperature, too. A training whose loss is no longer a number stops, and the epochs before that count.
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
        """Observe one run.

        Args:
            model: the network that is published.
            training_model: the same layers as they are trained.
            validation: the films by which the epoch is chosen.
            hyperparameters: how the run trains.
            progress: receives every step and epoch.
            checkpoint_path: where the state is saved between epochs, or None.
        """
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
        if not all(map(math.isfinite, entry.values())):
            logger.warning("the training diverged in epoch %d and stops", epoch + 1)
            self._training_model.stop_training = True
            return
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
