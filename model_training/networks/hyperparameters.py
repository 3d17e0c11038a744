"""Every choice of a training run but the network's layers and the data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from model_training.networks.augmentation import Augmentation

EPOCH_RULE = "the lowest validation loss once a temperature is fitted, its classes weighted as in training"

Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]


@dataclass(frozen=True)
class Hyperparameters:
    """How a network is trained."""

    epochs: int
    seed: int = 0
    #: A name that Keras knows.
    optimizer: str = "adam"
    learning_rate: float = 0.001
    #: `cosine`: a warm-up over the first tenth of all steps, then down to a hundredth along a cosine.
    schedule: Literal["constant", "cosine"] = "constant"
    #: Decoupled weight decay; for optimisers that have it.
    weight_decay: float | None = None
    batch_size: int = 32
    #: A class weighs (films / (classes * films of the class)) ** power: 1 makes all classes count alike, 0 all films.
    class_weight_power: float = 0.5
    #: How much the loss of the second head counts beside the class's, where the data state further findings.
    auxiliary_labels_weight: float = 0.0
    #: Weights are averaged over the steps by this momentum, and the averages are judged and kept; None: they are not.
    average_momentum: float | None = None
    #: Stop after so many epochs that were no better on validation; None: never.
    patience: int | None = None
    #: None: mixed where the device has a GPU, else float32. What is published computes in float32.
    precision: Precision | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)

    def recorded(self) -> Mapping[str, Any]:
        """Return every knob that is in use and the rule of keeping, for card and report."""
        hyperparameters = asdict(self)
        amounts = {
            f"augmentation_{name}": amount for name, amount in hyperparameters.pop("augmentation").items() if amount
        }
        used = {name: value for name, value in hyperparameters.items() if value is not None}
        return {**used, **amounts, "kept_by": EPOCH_RULE}
