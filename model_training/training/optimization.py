"""What a training run makes smaller, and how: losses, learning rate and optimiser. Knows no films."""

import math
from typing import Any

from model_training.data.auxiliary_labels import UNKNOWN
from model_training.networks.hyperparameters import Hyperparameters
from model_training.training.batches import AUXILIARY_HEAD, CLASS_HEAD
from worker.models import backend

#: Of all steps, with the cosine schedule; the rate starts at this share of itself, too.
WARM_UP_SHARE = 0.1
#: What is left of the learning rate at the end of a cosine.
LAST_RATE_SHARE = 0.01
#: Below it a logarithm says more of rounding than of the film.
LEAST_PROBABILITY = 1e-6
#: The names that a run may use, and Keras's classes of them.
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}


def compile_model(outer: Any, hyperparameters: Hyperparameters, steps_per_epoch: int) -> None:  # noqa: ANN401 - Keras has no types
    """Compile a Keras model with one head, or with that of further findings beside it, as the hyperparameters say."""
    loss: Any = "sparse_categorical_crossentropy"
    settings: dict[str, Any] = {"loss": loss, "metrics": ["accuracy"]}
    if isinstance(outer.output, dict):
        settings = {
            "loss": {CLASS_HEAD: loss, AUXILIARY_HEAD: known_crossentropy},
            "loss_weights": {CLASS_HEAD: 1.0, AUXILIARY_HEAD: hyperparameters.auxiliary_labels_weight},
            "metrics": {CLASS_HEAD: ["accuracy"]},
        }
    outer.compile(
        optimizer=_optimizer(hyperparameters, steps_per_epoch), weighted_metrics=[], jit_compile=False, **settings
    )


def known_crossentropy(targets: Any, probabilities: Any) -> Any:  # noqa: ANN401
    """Return each film's mean binary cross-entropy over the findings that are known of it; 0 where none is.

    Args:
        targets: shape (n, findings): 1, 0 or `UNKNOWN`.
        probabilities: float, shape (n, findings).
    """
    ops = backend.keras().ops
    known = ops.cast(targets != UNKNOWN, probabilities.dtype)
    likely = ops.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    surprise = -ops.where(targets == 1, ops.log(likely), ops.log(1 - likely)) * known
    return ops.sum(surprise, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1)


def _optimizer(hyperparameters: Hyperparameters, steps_per_epoch: int) -> Any:  # noqa: ANN401
    optimizers = backend.keras().optimizers
    config: dict[str, Any] = {"learning_rate": hyperparameters.learning_rate}
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
    return getattr(optimizers, OPTIMIZERS[hyperparameters.optimizer])(**config)
