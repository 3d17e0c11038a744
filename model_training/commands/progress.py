"""The progress of a training as bars on stderr."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def bars() -> Progress:
    """Return progress bars on stderr, with the remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


class TrainingBars:
    """A context manager with one bar for the films that are read and one for the epochs."""

    def __init__(self) -> None:
        """Create the bars without showing them."""
        self._bars = bars()
        self._films = self._bars.add_task("reading films", total=None, note="")
        self._epochs = self._bars.add_task("training", total=None, note="", visible=False)

    def __enter__(self) -> Self:
        """Show the bars."""
        self._bars.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Remove the bars from the terminal."""
        self._bars.stop()

    def on_film(self, done: int, total: int) -> None:
        """Move the bar of films."""
        self._bars.update(self._films, completed=done, total=total)

    def on_step(self) -> None:
        """Show the bar of epochs as soon as the training starts."""
        self._bars.update(self._epochs, visible=True)

    def on_epoch(self, done: int, planned: int, logs: Mapping[str, float]) -> None:
        """Move the bar of epochs."""
        note = f"accuracy {logs['accuracy']:.3f}, on validation {logs['val_accuracy']:.3f}"
        self._bars.update(self._epochs, completed=done, total=planned, note=note, visible=True)
