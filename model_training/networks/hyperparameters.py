"""The hyperparameters of a training: every choice except the network's layers and the data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from model_training.networks.augmentation import Augmentation

#: How the published epoch is chosen. Cards and reports quote it.
EPOCH_RULE = "the lowest validation loss once a temperature is fitted, its classes weighted as in training"

Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]


@dataclass(frozen=True)
class Hyperparameters:
    """How a network is trained."""

    epochs: int
    seed: int = 0
    #: A key of `model_training.training.optimization.OPTIMIZERS`.
    optimizer: str = "adam"
    learning_rate: float = 0.001
    #: `cosine` warms up over the first tenth of all steps and then falls to a hundredth of the rate along a cosine.
    schedule: Literal["constant", "cosine"] = "constant"
    #: Decoupled weight decay, for optimisers that support it.
    weight_decay: float | None = None
    batch_size: int = 32
    #: A class weighs (films / (classes * films of the class)) ** power: 1 counts all classes alike, 0 all films.
    class_weight_power: float = 0.5
    #: Weight of the loss of the auxiliary head relative to the loss of the class, where the data state other findings.
    auxiliary_labels_weight: float = 0.0
    #: Momentum of the moving average of the weights. The averages are validated and published. None: no averaging.
    average_momentum: float | None = None
    #: Stop after this many epochs without improvement on validation. None: never.
    patience: int | None = None
    #: None: mixed precision on a GPU, otherwise float32. The published network always computes in float32.
    precision: Precision | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)

    def recorded(self) -> Mapping[str, object]:
        """Return the hyperparameters in use and the rule that chooses the epoch, for the card and the report."""
        every = asdict(self)
        amounts = {f"augmentation_{name}": amount for name, amount in every.pop("augmentation").items() if amount}
        used = {name: value for name, value in every.items() if value is not None}
        return {**used, **amounts, "kept_by": EPOCH_RULE}
