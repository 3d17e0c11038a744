"""EfficientNet-Lite0 in Keras 3, and how it takes over the ImageNet weights.

The Lite variant has no squeeze-and-excitation and uses ReLU6 everywhere (Tan & Le 2019, arXiv 1905.11946; the Lite
family is TensorFlow's). Each batch normalisation is folded into the convolution before it: 32 films estimate worse
statistics than ImageNet did, and the folded network trains several times as fast on a CPU.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model_training.networks.keras_types import Layer, Model, Tensor
from worker.models import backend

#: TensorFlow's epsilon for this family, needed to fold the normalisations.
EPSILON = 1e-3
STEM_FILTERS, HEAD_FILTERS = 32, 1280

Weights = Mapping[str, npt.NDArray[np.float32]]


class Stage(NamedTuple):
    """A row of inverted residual blocks of one width."""

    kernel: int
    stride: int
    #: How many times wider the middle of a block is than its input.
    expansion: int
    filters: int
    blocks: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
BLOCKS = sum(stage.blocks for stage in STAGES)


def features(x: Tensor) -> Tensor:
    """Return the feature maps, shape (n, height / 32, width / 32, 1280), of images with values from -1 to 1."""
    layers = backend.keras().layers
    x = layers.Conv2D(STEM_FILTERS, 3, strides=2, padding="same", activation="relu6", name="stem")(x)
    number = 0
    for stage in STAGES:
        for position in range(stage.blocks):
            x = _block(x, stage, stage.stride if position == 0 else 1, number)
            number += 1
    maps: Tensor = layers.Conv2D(HEAD_FILTERS, 1, activation="relu6", name="head")(x)
    return maps


def _block(x: Tensor, stage: Stage, stride: int, number: int) -> Tensor:
    """Widen, filter each channel by itself, and narrow; a shortcut adds the input where the shape stays the same."""
    layers = backend.keras().layers
    width, name = x.shape[-1], f"block_{number}"
    y: Tensor = x
    if stage.expansion > 1:
        y = layers.Conv2D(width * stage.expansion, 1, activation="relu6", name=f"{name}_expand")(y)
    y = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", activation="relu6", name=f"{name}_depthwise"
    )(y)
    y = layers.Conv2D(stage.filters, 1, name=f"{name}_project")(y)
    if stride == 1 and width == stage.filters:
        y = layers.Add(name=f"{name}_add")([y, x])
    return y


def freeze_up_to(model: Model, block: int) -> None:
    """Exclude the stem and the blocks before `block` from training."""
    last = model.get_layer(f"block_{block - 1}_project")
    for layer in model.layers:
        layer.trainable = False
        if layer is last:
            break


def start_from_imagenet(model: Model, weights: Weights) -> None:
    """Give the layers that `features` added to a model their ImageNet weights.

    Args:
        model: contains those layers.
        weights: as `model_training.networks.imagenet.efficientnet_lite0` returns them.
    """
    _fold(model.get_layer("stem"), weights, "_conv_stem", "_bn0")
    for number in range(BLOCKS):
        ours, theirs = f"block_{number}", f"_blocks.{number}."
        # The first block has no expansion.
        if number:
            _fold(model.get_layer(f"{ours}_expand"), weights, f"{theirs}_expand_conv", f"{theirs}_bn0")
        _fold(model.get_layer(f"{ours}_depthwise"), weights, f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        _fold(model.get_layer(f"{ours}_project"), weights, f"{theirs}_project_conv", f"{theirs}_bn2")
    _fold(model.get_layer("head"), weights, "_conv_head", "_bn1")


def _fold(layer: Layer, weights: Weights, convolution: str, normalization: str) -> None:
    """Give a convolution the weights that compute the original convolution and its normalisation in one step."""
    scale, offset, mean, variance = (
        weights[f"{normalization}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = scale / np.sqrt(variance + EPSILON)
    kernel = weights[f"{convolution}.weight"] * gain[:, None, None, None]
    # PyTorch orders axes (out, in, height, width). Keras puts the single input channel of a depthwise kernel last.
    axes = (2, 3, 0, 1) if "_depthwise_" in convolution else (2, 3, 1, 0)
    layer.set_weights([kernel.transpose(axes), offset - mean * gain])
