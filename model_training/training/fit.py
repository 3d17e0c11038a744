"""One training: it takes films and returns the network of the epoch that is best on validation, with its curves.

Reads neither folders nor the database nor the test split, so that nothing here can be chosen by the test films.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model_training.data import auxiliary_labels
from model_training.data.auxiliary_labels import AuxiliaryLabels
from model_training.data.dataset import Dataset
from model_training.networks.augmentation import Augmentation
from model_training.networks.catalogue import CHANNELS, Network
from model_training.networks.hyperparameters import Hyperparameters
from model_training.networks.keras_types import Array, Model, Tensor
from model_training.training import batches
from model_training.training.batches import AUXILIARY_HEAD, CLASS_HEAD, Batches
from model_training.training.best_epoch import BestEpoch
from model_training.training.class_weights import sample_weights
from model_training.training.optimization import compile_model
from model_training.training.precision import best_precision, computing_in
from model_training.training.progress import Progress
from worker.models import backend


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
    best = BestEpoch(
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


def _rebuild(network: Network, classes: int, weights: Sequence[Array]) -> Model:
    """Return a fresh network with these weights that computes in float32 and has no traces of the training."""
    with computing_in("float32"):
        model = network.build(network, classes)
    model.set_weights(weights)
    return model
