"""The parts of Keras that training uses, as types: Keras publishes none of its own."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Logs = Mapping[str, float]


class Tensor(Protocol):
    """A symbolic tensor, or one of the backend's."""

    shape: tuple[int, ...]
    dtype: object

    def __eq__(self, other: object, /) -> bool:
        """Compare element by element."""

    def __hash__(self) -> int:
        """Return the identity's hash."""


class Variable(Protocol):
    """A weight, a state of an optimiser or the state of a random generator."""

    shape: tuple[int, ...]

    def assign(self, value: Array) -> object:
        """Replace the value."""


class Layer(Protocol):
    """A layer that is connected to others."""

    name: str
    trainable: bool
    input: Tensor
    output: Tensor

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the layer's output for another input."""

    def get_weights(self) -> list[npt.NDArray[np.float32]]:
        """Return the weights as arrays."""

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights."""


class Optimizer(Protocol):
    """An optimiser of a compiled model."""

    learning_rate: object
    variables: Sequence[Variable]

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the optimiser's own variables."""


class Model(Layer, Protocol):
    """A functional model."""

    layers: Sequence[Layer]
    inputs: Sequence[Tensor]
    optimizer: Optimizer
    stop_training: bool
    trainable_variables: Sequence[Variable]
    variables: Sequence[Variable]

    def get_layer(self, name: str) -> Layer:
        """Return the layer of that name."""

    def compile(self, **settings: object) -> None:
        """Set the optimiser, the losses and the metrics."""

    def fit(self, data: object, **settings: object) -> object:
        """Train, and return Keras's history."""

    def predict_on_batch(self, batch: Array) -> Array:
        """Return the output for one batch."""

    def save(self, path: object) -> None:
        """Write the model to a file."""
