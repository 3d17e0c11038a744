"""Fixtures: a data set of two easy classes (noise that is brighter on the left or right), and an invented run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from model_training.candidate import Recipe, build
from model_training.data.class_folders import LeftOut
from model_training.data.dataset import Dataset
from model_training.data.films import Films
from model_training.networks.hyperparameters import Hyperparameters
from model_training.report.assemble import assemble, summarize
from model_training.settings import settings
from model_training.training.fit import Fitted
from model_training.training.predictions import Predictions
from worker.models.documents.card import ModelCard
from worker.models.documents.report import Report

SIDE_PIXELS = 64
FILMS = {"train": 24, "validation": 8, "test": 8}


#: Classes and numbers of films of the invented run.
REPORT_CLASSES = ("Covid-19", "Effusions", "No-Findings")
REPORT_FILMS = {"train": 60, "validation": 48, "test": 90}


class RecordedProgress:
    """A progress that records its calls."""

    def __init__(self) -> None:
        """Start with no calls."""
        self.films: list[tuple[int, int]] = []
        self.epochs: list[tuple[int, int]] = []
        self.steps = 0

    def on_film(self, done: int, total: int) -> None:
        """Record the call."""
        self.films.append((done, total))

    def on_step(self) -> None:
        """Count the call."""
        self.steps += 1

    def on_epoch(self, done: int, planned: int, logs: dict[str, float]) -> None:
        """Record the call."""
        self.epochs.append((done, planned))


def draw_film(path: Path, seed: int, *, bright_left: bool) -> None:
    """Draw one film; every seed gives different bytes."""
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


@pytest.fixture(scope="session")
def draw() -> Callable[..., None]:
    """A function that draws one film: `draw(path, seed, bright_left=...)`."""
    return draw_film


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A data set that the test may change."""
    return draw_dataset(tmp_path / "drawn")


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that no test may change."""
    return draw_dataset(tmp_path_factory.mktemp("data") / "drawn")


@pytest.fixture(scope="session")
def progress() -> RecordedProgress:
    """A progress whose calls the test ignores."""
    return RecordedProgress()


@pytest.fixture(scope="session")
def built(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard, RecordedProgress]:
    """A candidate that was trained for a few epochs: its directory, its card and its progress."""
    directory, progress = tmp_path_factory.mktemp("built") / "candidate", RecordedProgress()
    card = build(Recipe(shared_data, "phantom", epochs=6, seed=3), directory, progress)
    return directory, card, progress


@pytest.fixture
def forgotten_settings() -> Iterator[Callable[[], None]]:
    """A function that makes the training settings be read again; it is also called after the test."""
    yield settings.cache_clear
    settings.cache_clear()


def draw_predictions(split: str, n: int, generator: np.random.Generator) -> Predictions:
    """Draw predictions that are better than chance, with random features."""
    labels = np.arange(n) % len(REPORT_CLASSES)
    scores = np.exp(generator.normal(size=(n, len(REPORT_CLASSES))) + 1.5 * np.eye(len(REPORT_CLASSES))[labels])
    names = tuple(f"{split}/{REPORT_CLASSES[label]}/{index:03}.png" for index, label in enumerate(labels))
    return Predictions(
        names,
        labels,
        (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32),
        generator.normal(size=(n, 4)).astype(np.float32),
        tuple(f"{generator.integers(2**60):064x}" for _ in range(n)),
    )


@pytest.fixture(scope="session")
def drawn_run() -> SimpleNamespace:
    """An invented run: its data, its hyperparameters and its predictions."""
    generator = np.random.default_rng(7)
    predictions = {split: draw_predictions(split, n, generator) for split, n in REPORT_FILMS.items()}
    splits = {
        split: Films(
            np.zeros((len(of_split), 64, 64), np.uint8), of_split.labels, of_split.names, sha256=of_split.sha256
        )
        for split, of_split in predictions.items()
    }
    rows = {
        name: {
            "source_repo": "north" if index % 2 else "south",
            "sex": "F" if index % 3 else "M",
            "view": "PA",
            "age_years": "50",
            "patient_id": f"p{index // 2}-{name.partition('/')[0]}",
            "label_provenance": "drawn",
        }
        for of_split in predictions.values()
        for index, name in enumerate(of_split.names)
    }
    data = Dataset(REPORT_CLASSES, splits, "films", "0" * 64, rows)
    history = [
        {"epoch": epoch, "loss": 1 / epoch, "val_loss": 1.1 / epoch, "accuracy": 0.5, "val_accuracy": 0.4}
        for epoch in (1, 2)
    ]
    fitted = Fitted(network=None, history=tuple(history), kept_epoch=2, seconds=3.0)
    hyperparameters = Hyperparameters(epochs=2, seed=5, optimizer="adam", learning_rate=0.001)
    return SimpleNamespace(data=data, fitted=fitted, hyperparameters=hyperparameters, predictions=predictions)


@pytest.fixture(scope="session")
def full_report(drawn_run: SimpleNamespace) -> Report:
    """The report of the invented run, with films of another hospital and a temperature."""
    external = draw_predictions("external", 30, np.random.default_rng(8))
    external = Predictions(
        external.names, external.labels, external.probabilities, left_out=(LeftOut("x.txt", "corrupt"),)
    )
    return assemble(
        drawn_run.data,
        drawn_run.fitted,
        drawn_run.hyperparameters,
        summary=summarize(drawn_run.data),
        predictions={**drawn_run.predictions, "external": external},
        temperature=1.25,
    )
