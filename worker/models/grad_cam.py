"""Heat maps: HiResCAM on a network's last feature map, with any backend of Keras.

HiResCAM (Draelos and Carin 2020) weights each cell of the map by its own gradient. For a network that ends in global
average pooling and one dense layer it equals Grad-CAM (Selvaraju et al. 2017). Where a Flatten follows the map,
Grad-CAM averages the gradients over the cells, and so points at places that did not count.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from worker.errors import NoHeatMap
from worker.models import backend

#: Relative evidence, shape (rows, columns) of the network's last feature map, 0 none to 1 most.
Heat = npt.NDArray[np.float32]

#: Layers that pass a feature map on, or make it smaller, without computing a new one.
PASSING_LAYERS = ("Pooling", "Dropout", "Activation")
MAP_RANK = 4


def heat_map(network: Any, film: npt.NDArray[np.uint8], output: int) -> Heat:  # noqa: ANN401 - Keras has no types
    """Return which parts of a film are evidence for one of the network's outputs.

    Each cell of the last feature map is weighted by the gradient of the output's score before the softmax. After the
    softmax, evidence against the other findings would count as evidence for this one.

    Args:
        network: a functional Keras model that ends in a Dense layer.
        film: as the network takes it, shape (1, height, width, channels).
        output: the index of the finding.

    Raises:
        NoHeatMap: the network has no feature map.
    """
    keras = backend.keras()
    features = _last_feature_map(network)
    feature_map = keras.Model(network.input, features)(film, training=False)
    head = keras.Model(features, network.layers[-1].input)
    weights = network.layers[-1].kernel[:, output]

    def score(at: Any) -> Any:  # noqa: ANN401
        return keras.ops.sum(keras.ops.cast(head(at, training=False), weights.dtype) * weights)

    evidence = (feature_map * backend.gradient(score, feature_map))[0]
    return _scaled(keras.ops.convert_to_numpy(evidence).astype(np.float32).sum(axis=-1))


def _last_feature_map(network: Any) -> Any:  # noqa: ANN401
    """Return the output of the last layer that computes a map over the film."""
    for layer in reversed(network.layers):
        if len(layer.output.shape) == MAP_RANK and not any(word in type(layer).__name__ for word in PASSING_LAYERS):
            return layer.output
    raise NoHeatMap("the network has no feature map to look at")


def _scaled(evidence: Heat) -> Heat:
    """Drop the evidence against the finding, and scale the rest to a maximum of 1; all zeros if nothing is left."""
    positive: Heat = np.maximum(evidence, 0)
    return positive / positive.max() if positive.any() else positive
