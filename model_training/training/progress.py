"""What receives the progress of a training."""

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a run."""

    def on_film(self, done: int, total: int) -> None:
        """Record that `done` of `total` files are read."""

    def on_step(self) -> None:
        """Record that one more batch is learned, which shows that the training is alive."""

    def on_epoch(self, done: int, planned: int, logs: Mapping[str, float]) -> None:
        """Record that `done` of `planned` epochs are finished, with the loss and accuracy of the last one."""
