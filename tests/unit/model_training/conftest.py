"""Two classes that any network can tell apart: noise that is brighter on the left, or on the right."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_training.candidate import Recipe, make
from model_training.settings import settings
from worker.registry import ModelCard

SIDE_PIXELS = 64
FILMS = {"train": 24, "validation": 8, "test": 8}


class Watcher:
    """A progress that keeps what it was told."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self.films: list[tuple[int, int]] = []
        self.epochs: list[tuple[int, int]] = []
        self.steps = 0

    def on_film(self, done: int, total: int) -> None:
        """Keep it."""
        self.films.append((done, total))

    def on_step(self) -> None:
        """Count it."""
        self.steps += 1

    def on_epoch(self, done: int, planned: int, logs: dict[str, float]) -> None:
        """Keep it."""
        self.epochs.append((done, planned))


def draw_film(path: Path, seed: int, *, bright_left: bool) -> None:
    """Draw one film; every seed gives other bytes."""
    pixels = np.random.default_rng(seed).integers(0, 90, (SIDE_PIXELS, SIDE_PIXELS), dtype=np.uint8)
    half = slice(0, SIDE_PIXELS // 2) if bright_left else slice(SIDE_PIXELS // 2, None)
    pixels[:, half] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def draw_dataset(folder: Path) -> Path:
    """Draw train, validation and test with the classes Left and Right."""
    seed = 0
    for split, films in FILMS.items():
        for index in range(films):
            seed += 1
            name = "Left" if index % 2 else "Right"
            draw_film(folder / split / name / f"{index:02}.png", seed, bright_left=name == "Left")
    return folder


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A training set of its own, to be spoiled at will."""
    return draw_dataset(tmp_path / "drawn")


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training set that nobody may change."""
    return draw_dataset(tmp_path_factory.mktemp("data") / "drawn")


@pytest.fixture(scope="session")
def watcher() -> Watcher:
    """A progress for those who do not look at it."""
    return Watcher()


@pytest.fixture(scope="session")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard, Watcher]:
    """One candidate, trained for a few epochs: its directory, its card and the progress it told."""
    directory, progress = tmp_path_factory.mktemp("made") / "candidate", Watcher()
    card = make(Recipe(shared_data, "phantom", epochs=6, seed=3), directory, progress)
    return directory, card, progress


@pytest.fixture
def forgotten_settings() -> Iterator[Callable[[], None]]:
    """Forgets the training settings when called, and after the test."""
    yield settings.cache_clear
    settings.cache_clear()
