"""EfficientNet-Lite0 by Keras 3's own API, and the ImageNet weights that it starts from.

Lite: no squeeze-and-excitation, ReLU6 everywhere (Tan & Le 2019, arXiv 1905.11946; the Lite family is TensorFlow's).
Its normalisations are folded into the convolutions before them: a batch of 32 films would estimate worse statistics
than ImageNet's, and without them the network trains several times as fast on a CPU.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from worker.models import backend

#: TensorFlow's epsilon for this family; part of the folded weights.
EPSILON = 1e-3
STEM_FILTERS, HEAD_FILTERS = 32, 1280

Weights = Mapping[str, npt.NDArray[np.float32]]


class Stage(NamedTuple):
    """Inverted residual blocks of one width."""

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


def features(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the feature maps, shape (n, height / 32, width / 32, 1280), of pictures with values from -1 to 1."""
    layers = backend.keras().layers
    x = layers.Conv2D(STEM_FILTERS, 3, strides=2, padding="same", activation="relu6", name="stem")(x)
    number = 0
    for stage in STAGES:
        for position in range(stage.blocks):
            x = _block(x, stage, stage.stride if position == 0 else 1, number)
            number += 1
    return layers.Conv2D(HEAD_FILTERS, 1, activation="relu6", name="head")(x)


def _block(x: Any, stage: Stage, stride: int, number: int) -> Any:  # noqa: ANN401
    """Widen, filter each channel by itself, narrow; with a short cut where the shape stays."""
    layers = backend.keras().layers
    width, y, name = x.shape[-1], x, f"block_{number}"
    if stage.expansion > 1:
        y = layers.Conv2D(width * stage.expansion, 1, activation="relu6", name=f"{name}_expand")(y)
    y = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", activation="relu6", name=f"{name}_depthwise"
    )(y)
    y = layers.Conv2D(stage.filters, 1, name=f"{name}_project")(y)
    return layers.Add(name=f"{name}_add")([y, x]) if stride == 1 and width == stage.filters else y


def freeze_up_to(model: Any, block: int) -> None:  # noqa: ANN401
    """Keep the weights of the stem and of the blocks before `block` as they are."""
    last = model.get_layer(f"block_{block - 1}_project")
    for layer in model.layers:
        layer.trainable = False
        if layer is last:
            break


def start_from_imagenet(model: Any, weights: Weights) -> None:  # noqa: ANN401
    """Set the weights of `features` within a Keras model.

    Args:
        model: holds the layers that `features` made.
        weights: `model_training.networks.imagenet.efficientnet_lite0`, under PyTorch's names and in its order of axes.
    """
    _fold(model.get_layer("stem"), weights, "_conv_stem", "_bn0")
    for number in range(BLOCKS):
        ours, theirs = f"block_{number}", f"_blocks.{number}."
        # The first block does not widen.
        if number:
            _fold(model.get_layer(f"{ours}_expand"), weights, f"{theirs}_expand_conv", f"{theirs}_bn0")
        _fold(model.get_layer(f"{ours}_depthwise"), weights, f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        _fold(model.get_layer(f"{ours}_project"), weights, f"{theirs}_project_conv", f"{theirs}_bn2")
    _fold(model.get_layer("head"), weights, "_conv_head", "_bn1")


def _fold(layer: Any, weights: Weights, convolution: str, normalization: str) -> None:  # noqa: ANN401
    """Give a convolution the weights that do what theirs and the normalisation after it do together."""
    scale, offset, mean, variance = (
        weights[f"{normalization}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = scale / np.sqrt(variance + EPSILON)
    kernel = weights[f"{convolution}.weight"] * gain[:, None, None, None]
    # PyTorch: (out, in, height, width). A depthwise kernel has one input channel each, which Keras names last.
    axes = (2, 3, 0, 1) if "_depthwise_" in convolution else (2, 3, 1, 0)
    layer.set_weights([kernel.transpose(axes), offset - mean * gain])
