"""A candidate: one trained network with its card, its report and its figures, in a directory that can be published.

The one place where data, network, training and evaluation meet; the command and the nightly run both come through here.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from model_training import evaluation, training
from model_training.dataset import Dataset, read
from model_training.limits import limits_of
from model_training.networks import CHANNELS, NETWORKS, Network, trainable_parameters
from model_training.report import assemble
from model_training.training import Fitted, Knobs, Progress
from worker import backend
from worker.decoding import PREPROCESSING
from worker.registry import MODEL_FILE, ModelCard, sha256_of, write_card

#: How much of the file's SHA-256 a version carries.
DIGEST_DIGITS = 12


@dataclass(frozen=True)
class Recipe:
    """What to train, and on what."""

    data: Path
    network: str
    #: None: the network's own number.
    epochs: int | None = None
    seed: int = 0

    @property
    def architecture(self) -> Network:
        """The network's description.

        Raises:
            KeyError: there is no network of that name.
        """
        return NETWORKS[self.network]

    @property
    def knobs(self) -> Knobs:
        """The choices of the training run."""
        return Knobs.of(self.architecture, epochs=self.epochs, seed=self.seed)


def make(recipe: Recipe, directory: Path, progress: Progress) -> ModelCard:
    """Read the data, train, evaluate, and write the model directory; the test split is looked at last, once.

    Raises:
        DatasetError: the data cannot be trained on.
        FloatingPointError: the training diverged.
    """
    network, knobs = recipe.architecture, recipe.knobs
    data = read(recipe.data, network.input_size, progress.on_film)
    fitted = training.fit(network, data, knobs, progress)
    directory.mkdir(parents=True, exist_ok=True)
    fitted.network.save(directory / MODEL_FILE)
    report = assemble(data, fitted, knobs)
    card = _card(recipe, data, fitted, report, sha256_of(directory / MODEL_FILE))
    report = {"version": card.version, "network": network.name, **report}
    write_card(directory, card, report)
    _draw(report, directory)
    return card


def _card(recipe: Recipe, data: Dataset, fitted: Fitted, report: Mapping[str, Any], sha256: str) -> ModelCard:
    network, knobs = recipe.architecture, recipe.knobs
    return ModelCard(
        version=f"{network.name}-{sha256[:DIGEST_DIGITS]}",
        sha256=sha256,
        network=network.name,
        classes=data.classes,
        input_size=network.input_size,
        channels=CHANNELS,
        preprocessing=PREPROCESSING,
        trainable_parameters=trainable_parameters(fitted.network),
        trained_on=data.kind,
        data_fingerprint=data.fingerprint,
        data_counts=data.counts,
        seed=knobs.seed,
        epochs=knobs.epochs,
        batch_size=knobs.batch_size,
        training={**knobs.recorded(), "kept_epoch": fitted.kept_epoch},
        metrics={split: evaluation.headline(report[split]) for split in data.splits},
        software=_software(),
        trained_at=datetime.now(UTC),
        limits=limits_of(data),
    )


def _software() -> dict[str, str]:
    keras = backend.keras()

    engine = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": f"{engine} {metadata.version(engine)}",
        "platform": platform.machine(),
    }


def _draw(report: Mapping[str, Any], directory: Path) -> None:
    from model_training import figures  # noqa: PLC0415 - Matplotlib takes a second to import

    figures.draw_curves(report, directory / figures.CURVES_FILE)
    figures.draw_confusion(report["test"], f"{report['version']} on the test split", directory / figures.CONFUSION_FILE)
