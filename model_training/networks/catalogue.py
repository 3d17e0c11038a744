"""The networks that can be trained: three from the paper, ours, and a small one for drawn phantoms.

Contains the layers, in Keras 3, and each network's default hyperparameters; does not import data. Every network takes
uint8 films, shape (height, width, 3) with three equal channels, and divides by 255 itself, so that callers send bytes.
The last layer, `findings`, turns features into probabilities. The paper is Chowdhury & Zhang 2024, doi
10.4236/jcc.2024.126012.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from model_training.networks import efficientnet, imagenet
from model_training.networks.augmentation import Augmentation
from model_training.networks.hyperparameters import Hyperparameters
from model_training.networks.keras_types import Model, Tensor
from worker.models import backend

#: The grey channel three times, as the paper's networks expect it.
CHANNELS = 3
#: The paper gives no dropout rate; this one was chosen on the validation split.
DROPOUT_RATE = 0.25
LITE_DROPOUT_RATE = 0.3
#: Added to the variance of grey values from 0 to 1: negligible for a film, and no division by 0 for a blank one.
STANDARDISING_EPSILON = 1e-5
#: Standard deviation of EfficientNet's input; ImageNet's images, scaled to -1 to 1, have about this one.
STANDARDISED_SPREAD = 0.5
FIRST_TRAINED_BLOCK = 5

Build = Callable[["Network", int], Model]


@dataclass(frozen=True)
class Network:
    """One architecture and its default hyperparameters."""

    name: str
    description: str
    #: Returns the uncompiled Keras model for a number of classes.
    build: Build
    hyperparameters: Hyperparameters
    #: Height and width in pixels.
    input_size: tuple[int, int] = (64, 64)


def _paper(network: Network, classes: int) -> Model:
    return _three_convolutions(network, classes, filters=(32, 32, 32), dense=128)


def _paper_with_dropout(network: Network, classes: int) -> Model:
    return _three_convolutions(network, classes, filters=(32, 32, 32), dense=128, dropout=DROPOUT_RATE)


def _small(network: Network, classes: int) -> Model:
    return _three_convolutions(network, classes, filters=(8, 16, 24), dense=32)


def _three_convolutions(
    network: Network, classes: int, *, filters: tuple[int, ...], dense: int, dropout: float = 0.0
) -> Model:
    """Return a 3x3 convolution (valid, ReLU) and 2x2 pooling for each entry of `filters`, then two dense layers."""
    layers = backend.keras().layers
    films, x = _films(network)
    for number, width in enumerate(filters, start=1):
        x = layers.Conv2D(width, 3, activation="relu", name=f"convolution_{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pooling_{number}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, activation="relu", name="dense")(x)
    return _model(network, films, x, classes)


def _reconstruction(network: Network, classes: int) -> Model:
    """Return the paper's second network, of which only the parameter count and the kinds of layers are known."""
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
    return _model(network, films, x, classes)


def _lite(network: Network, classes: int) -> Model:
    """Return EfficientNet-Lite0 with ImageNet's weights, on films that are standardised one by one.

    The mean and the spread of a film's grey values depend on its collection more than on its finding, so they are
    removed first. The first blocks detect edges and textures, which films share with photographs; they are not trained,
    which halves the cost.
    """
    layers = backend.keras().layers
    films, x = _films(network)
    x = layers.LayerNormalization(
        axis=(1, 2, 3), center=False, scale=False, epsilon=STANDARDISING_EPSILON, name="standardise"
    )(x)
    x = layers.Rescaling(STANDARDISED_SPREAD, name="spread")(x)
    x = efficientnet.features(x)
    x = layers.GlobalAveragePooling2D(name="pooling")(x)
    x = layers.Dropout(LITE_DROPOUT_RATE, name="dropout")(x)
    model = _model(network, films, x, classes)
    efficientnet.start_from_imagenet(model, imagenet.efficientnet_lite0())
    efficientnet.freeze_up_to(model, FIRST_TRAINED_BLOCK)
    return model


def _films(network: Network) -> tuple[Tensor, Tensor]:
    """Return the input, uint8, and its values scaled to [0, 1]."""
    keras = backend.keras()
    films = keras.Input((*network.input_size, CHANNELS), dtype="uint8", name="films")
    return films, keras.layers.Rescaling(1 / 255, name="scale")(films)


def _model(network: Network, films: Tensor, x: Tensor, classes: int) -> Model:
    """Return the model that ends in probabilities; they are float32 even when other layers use mixed precision."""
    keras = backend.keras()
    findings = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="findings")(x)
    model: Model = keras.Model(films, findings, name=network.name)
    return model


#: Follows the paper's description; chosen among four on the validation split.
PAPER_AUGMENTATION = Augmentation(shear=0.1, zoom=0.1, shift=0.05)
STRONG_AUGMENTATION = Augmentation(
    shear=0.08,
    zoom=0.15,
    shift=0.07,
    rotation_degrees=10,
    gamma=0.4,
    contrast=0.25,
    brightness=0.12,
    resampling=0.55,
    noise_levels=8,
)

NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network(
            "v1",
            "the paper's first: three convolutions, no regularisation",
            _paper,
            Hyperparameters(70, augmentation=PAPER_AUGMENTATION),
        ),
        Network(
            "v2",
            "the paper's second, a reconstruction from its parameter count: batch normalisation, dropout, SGD",
            _reconstruction,
            Hyperparameters(70, optimizer="sgd", learning_rate=0.01, augmentation=PAPER_AUGMENTATION),
        ),
        Network(
            "v3",
            "the paper's final: as v1, with dropout after each pooling",
            _paper_with_dropout,
            Hyperparameters(70, augmentation=PAPER_AUGMENTATION),
        ),
        Network(
            "lite0",
            "ours: EfficientNet-Lite0 from ImageNet's weights, films standardised, scanner and collection disguised",
            _lite,
            Hyperparameters(
                16,
                optimizer="adamw",
                learning_rate=3e-4,
                schedule="cosine",
                weight_decay=1e-4,
                average_momentum=0.99,
                auxiliary_labels_weight=1.0,
                class_weight_power=1.0,
                augmentation=STRONG_AUGMENTATION,
            ),
            input_size=(192, 192),
        ),
        Network(
            "phantom", "a small one for drawn phantoms", _small, Hyperparameters(30, augmentation=PAPER_AUGMENTATION)
        ),
    )
}


def trainable_parameters(model: Model) -> int:
    """Return the number of trainable parameters of a Keras model."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
