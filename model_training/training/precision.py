"""In which precision a network computes while it learns; its weights are float32 whatever it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from model_training.networks.hyperparameters import Precision
from worker.models import backend
from worker.models.classifier import device_name


def best_precision() -> Precision:
    """Return Keras's mixed precision where there is a GPU, which computes it faster, else float32."""
    return "mixed_float16" if device_name().endswith("gpu") else "float32"


@contextmanager
def computing_in(policy: str) -> Iterator[None]:
    """Layers made inside compute by this policy; their weights are float32 whatever it is."""
    config = backend.keras().config
    before = config.dtype_policy()
    config.set_dtype_policy(policy)
    try:
        yield
    finally:
        config.set_dtype_policy(before)
