"""How a training minimises its loss: the losses, the learning rate and the optimiser."""

import math

from model_training.data.auxiliary_labels import UNKNOWN
from model_training.networks.hyperparameters import Hyperparameters
from model_training.networks.keras_types import Model, Optimizer, Tensor
from model_training.training.batches import AUXILIARY_HEAD, CLASS_HEAD
from worker.models import backend

#: Share of all steps in which the cosine schedule warms up; the rate also starts at this share of itself.
WARM_UP_SHARE = 0.1
#: Share of the learning rate that is left at the end of a cosine.
LAST_RATE_SHARE = 0.01
#: Smaller probabilities are raised to this one: their logarithm would mostly be rounding.
LEAST_PROBABILITY = 1e-6
#: Keras's class for each name that a run may use.
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}


def compile_model(model: Model, hyperparameters: Hyperparameters, steps_per_epoch: int) -> None:
    """Compile a training model that has the class head alone, or the auxiliary head beside it."""
    loss = "sparse_categorical_crossentropy"
    settings: dict[str, object] = {"loss": loss, "metrics": ["accuracy"]}
    if isinstance(model.output, dict):
        settings = {
            "loss": {CLASS_HEAD: loss, AUXILIARY_HEAD: known_crossentropy},
            "loss_weights": {CLASS_HEAD: 1.0, AUXILIARY_HEAD: hyperparameters.auxiliary_labels_weight},
            "metrics": {CLASS_HEAD: ["accuracy"]},
        }
    model.compile(
        optimizer=_optimizer(hyperparameters, steps_per_epoch), weighted_metrics=[], jit_compile=False, **settings
    )


def known_crossentropy(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Return each film's mean binary cross-entropy over the findings that are known of it, or 0 if none is known.

    Args:
        targets: shape (n, findings): 1, 0 or `UNKNOWN`.
        probabilities: float, shape (n, findings).
    """
    ops = backend.keras().ops
    known = ops.cast(targets != UNKNOWN, probabilities.dtype)
    clipped = ops.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    losses = -ops.where(targets == 1, ops.log(clipped), ops.log(1 - clipped)) * known
    mean: Tensor = ops.sum(losses, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1)
    return mean


def _optimizer(hyperparameters: Hyperparameters, steps_per_epoch: int) -> Optimizer:
    optimizers = backend.keras().optimizers
    config: dict[str, object] = {"learning_rate": hyperparameters.learning_rate}
    if hyperparameters.schedule == "cosine":
        steps = steps_per_epoch * hyperparameters.epochs
        warm_up = math.ceil(steps * WARM_UP_SHARE)
        config["learning_rate"] = optimizers.schedules.CosineDecay(
            hyperparameters.learning_rate * WARM_UP_SHARE,
            max(1, steps - warm_up),
            alpha=LAST_RATE_SHARE,
            warmup_target=hyperparameters.learning_rate,
            warmup_steps=warm_up,
        )
    if hyperparameters.weight_decay is not None:
        config["weight_decay"] = hyperparameters.weight_decay
    if hyperparameters.average_momentum is not None:
        config |= {"use_ema": True, "ema_momentum": hyperparameters.average_momentum}
    optimizer: Optimizer = getattr(optimizers, OPTIMIZERS[hyperparameters.optimizer])(**config)
    return optimizer
