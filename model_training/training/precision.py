"""The precision in which a network computes while it is trained; its weights are always float32."""

from collections.abc import Iterator
from contextlib import contextmanager

from model_training.networks.hyperparameters import Precision
from worker.models import backend
from worker.models.classifier import device_name


def best_precision() -> Precision:
    """Return mixed precision if there is a GPU, which is faster with it, otherwise float32."""
    return "mixed_float16" if device_name().endswith("gpu") else "float32"


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Make layers that are created inside the block compute by this dtype policy; their weights stay float32."""
    config = backend.keras().config
    previous = config.dtype_policy()
    config.set_dtype_policy(policy)
    try:
        yield
    finally:
        config.set_dtype_policy(previous)
