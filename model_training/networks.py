"""The networks that can be trained: three of the paper, and a small one for drawn phantoms.

Layers only, by Keras 3's own API; knows no films and no training. Every network takes uint8 films, shape
(height, width, 3) with three equal channels, and divides by 255 itself, so that whoever calls it ships bytes. The paper
is Chowdhury & Zhang 2024, doi 10.4236/jcc.2024.126012.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worker import backend

#: The grey channel, three times: what the paper's networks expect.
CHANNELS = 3
#: The paper names dropout and no rate. Chosen on the validation split.
DROPOUT_RATE = 0.25

Build = Callable[["Network", int], Any]


@dataclass(frozen=True)
class Network:
    """One architecture and how it is trained unless told otherwise."""

    name: str
    description: str
    #: Returns the uncompiled Keras model of this network for a number of classes.
    build: Build
    #: Height and width in pixels.
    input_size: tuple[int, int] = (64, 64)
    epochs: int = 70
    optimizer: str = "adam"
    learning_rate: float = 0.001


def _paper(network: Network, classes: int) -> Any:  # noqa: ANN401 - Keras has no types
    return _three_convolutions(network, classes, filters=(32, 32, 32), dense=128)


def _paper_with_dropout(network: Network, classes: int) -> Any:  # noqa: ANN401
    return _three_convolutions(network, classes, filters=(32, 32, 32), dense=128, dropout=DROPOUT_RATE)


def _small(network: Network, classes: int) -> Any:  # noqa: ANN401
    return _three_convolutions(network, classes, filters=(8, 16, 24), dense=32)


def _three_convolutions(
    network: Network, classes: int, *, filters: tuple[int, ...], dense: int, dropout: float = 0.0
) -> Any:  # noqa: ANN401
    """Convolution 3x3 (valid, ReLU) and 2x2 pooling per entry of `filters`, then two dense layers."""
    layers = backend.keras().layers
    films, x = _films(network)
    for number, width in enumerate(filters, start=1):
        x = layers.Conv2D(width, 3, activation="relu", name=f"convolution_{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pooling_{number}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, activation="relu", name="dense")(x)
    return backend.keras().Model(
        films, layers.Dense(classes, activation="softmax", name="findings")(x), name=network.name
    )


def _reconstruction(network: Network, classes: int) -> Any:  # noqa: ANN401
    """Of the paper's second network only the parameter count and the kinds of layers are known."""
    layers = backend.keras().layers
    films, x = _films(network)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="convolution_1")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu", name="convolution_2")(x)
    x = layers.BatchNormalization(name="normalization_2")(x)
    x = layers.MaxPooling2D(2, name="pooling")(x)  # (32, 32, 64)
    x = layers.Dropout(DROPOUT_RATE, name="dropout_2")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu", name="convolution_3")(x)
    x = layers.BatchNormalization(name="normalization_3")(x)
    x = layers.Dropout(DROPOUT_RATE, name="dropout_3")(x)
    x = layers.Flatten(name="flatten")(x)  # (65536,)
    x = layers.Dense(256, activation="relu", name="dense_1")(x)
    x = layers.BatchNormalization(name="normalization_4")(x)
    x = layers.Dropout(DROPOUT_RATE, name="dropout_4")(x)
    x = layers.Dense(64, activation="relu", name="dense_2")(x)
    return backend.keras().Model(
        films, layers.Dense(classes, activation="softmax", name="findings")(x), name=network.name
    )


def _films(network: Network) -> tuple[Any, Any]:
    """Return the input, uint8, and its values scaled to [0, 1]."""
    keras = backend.keras()
    films = keras.Input((*network.input_size, CHANNELS), dtype="uint8", name="films")
    return films, keras.layers.Rescaling(1 / 255, name="scale")(films)


NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network("v1", "the paper's first: three convolutions, no regularisation", _paper),
        Network(
            "v2",
            "the paper's second, a reconstruction from its parameter count: batch normalisation, dropout, SGD",
            _reconstruction,
            optimizer="sgd",
            learning_rate=0.01,
        ),
        Network("v3", "the paper's final: as v1, with dropout after each pooling", _paper_with_dropout),
        Network("phantom", "a small one for drawn phantoms", _small, epochs=30),
    )
}


def trainable_parameters(model: Any) -> int:  # noqa: ANN401
    """Return the number of a Keras model's trainable parameters."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
