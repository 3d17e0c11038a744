"""Builds a candidate: a trained network with its card, report and figures, in a directory that can be published.

Data, network, training and evaluation meet here. `thoraq train` and retraining runs both use it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import JsonValue

from model_training import film_check
from model_training.data.dataset import Dataset, read
from model_training.data.films import Films, read_films
from model_training.data.formats import find_films_to_evaluate
from model_training.metrics import evaluation
from model_training.metrics.calibration import fit_temperature
from model_training.networks.catalogue import CHANNELS, NETWORKS, Network, trainable_parameters
from model_training.networks.hyperparameters import EPOCH_RULE, Hyperparameters
from model_training.report import thumbnails
from model_training.report.assemble import EXTERNAL, assemble, summarize
from model_training.report.limitations import limits_of
from model_training.report.provenance import software
from model_training.settings import settings as training_settings
from model_training.training import checkpoint, fit, model_file, predictions
from model_training.training.devices import distribute_over
from model_training.training.fit import Fitted
from model_training.training.predictions import Predictions
from model_training.training.progress import Progress
from worker.decoding import PREPROCESSING
from worker.films.film_check import FILM_CHECK_FILE
from worker.models.directory import MODEL_FILE, sha256_of, write_card
from worker.models.documents.card import FilmCheckCard, ModelCard
from worker.models.documents.evaluation import Evaluation
from worker.models.documents.report import Report
from worker.settings import settings

#: Number of hexadecimal digits of the file's SHA-256 in the name of a version.
DIGEST_DIGITS = 12


@dataclass(frozen=True)
class Recipe:
    """What to train, and on which data."""

    data: Path
    network: str
    #: None: the network's default.
    epochs: int | None = None
    seed: int = 0
    #: Films of other hospitals in class folders. They are evaluated and never trained on.
    external: Path | None = None
    #: Replacements of the network's default hyperparameters, by name.
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> Network:
        """The network's description.

        Raises:
            KeyError: there is no network of that name.
        """
        return NETWORKS[self.network]

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters of this training."""
        defaults = self.architecture.hyperparameters
        return replace(defaults, epochs=self.epochs or defaults.epochs, seed=self.seed, **self.changes)


def build(
    recipe: Recipe,
    directory: Path,
    progress: Progress,
    data: Dataset | None = None,
    notes: Mapping[str, JsonValue] = MappingProxyType({}),
) -> ModelCard:
    """Train, calibrate and evaluate a network, and write the model directory.

    The test films are used only once, at the end. If a run was killed, calling this again with the same recipe and data
    continues after its last finished epoch.

    Args:
        recipe: what to train.
        directory: where to write.
        progress: receives the progress.
        data: the training data; None: all data that the recipe names.
        notes: further entries for the part `training` of the card.

    Raises:
        DatasetError: the data cannot be trained on.
        FloatingPointError: the training diverged.
    """
    network, hyperparameters = recipe.architecture, recipe.hyperparameters
    data = data or read(recipe.data, network.input_size, progress.on_film)
    external = _external(recipe, data)
    summary = summarize(data)
    checkpoint_path = _checkpoint_path(recipe, data)
    with distribute_over(training_settings().devices):
        fitted = fit.fit(network, data, hyperparameters, progress, checkpoint_path)
    temperature = _calibrate(fitted, data, hyperparameters)
    directory.mkdir(parents=True, exist_ok=True)
    model_file.write(fitted.network, directory / MODEL_FILE)
    by_split = {
        split: predictions.predict(fitted.network, films, hyperparameters.batch_size)
        for split, films in {**data.splits, **external}.items()
    }
    report = assemble(data, fitted, hyperparameters, summary=summary, predictions=by_split, temperature=temperature)
    card = _card(recipe, data, fitted, report, sha256_of(directory / MODEL_FILE))
    additions = {"training": {**card.training, **notes}, "film_check": _film_check(data, external, directory)}
    card = card.model_copy(update=additions)
    report = report.model_copy(update={"version": card.version, "network": network.name})
    _write(recipe, card, report, by_split, directory)
    checkpoint_path.unlink(missing_ok=True)
    return card


def _external(recipe: Recipe, data: Dataset) -> dict[str, Films]:
    if recipe.external is None:
        return {}
    files = find_films_to_evaluate(recipe.external, data.classes)
    return {EXTERNAL: read_films(files.listing, recipe.architecture.input_size)}


def _checkpoint_path(recipe: Recipe, data: Dataset) -> Path:
    """Return the path of the checkpoint of a run with this recipe on these films."""
    choices = {
        "network": recipe.network,
        **asdict(recipe.hyperparameters),
        "kept_by": EPOCH_RULE,
        "data": data.fingerprint,
    }
    folder = settings().data_dir / "checkpoints"
    checkpoint.remove_old(folder)
    return folder / checkpoint.name_of(choices | {"preprocessing": PREPROCESSING, "software": software()})


def _calibrate(fitted: Fitted, data: Dataset, hyperparameters: Hyperparameters) -> float:
    """Divide the last layer by the temperature that fits the validation films, and return it (Guo et al. 2017).

    The published network therefore gives calibrated probabilities, and its callers need no temperature.
    """
    films = data.splits["validation"]
    temperature = fit_temperature(
        predictions.predict(fitted.network, films, hyperparameters.batch_size).probabilities, films.labels
    )
    last = fitted.network.layers[-1]
    last.set_weights([weights / temperature for weights in last.get_weights()])
    return temperature


def _film_check(data: Dataset, external: Mapping[str, Films], directory: Path) -> FilmCheckCard | None:
    """Write the film check beside the network, and return its part of the card, or None if there are too few films.

    Networks for phantoms have no film check, so that every phantom is scored.
    """
    check = film_check.fit(data.splits) if data.kind == "films" else None
    if check is None:
        return None
    sha256 = check.save(directory / FILM_CHECK_FILE)
    return FilmCheckCard(sha256=sha256, rejections=film_check.rejections(check, {**data.splits, **external}))


def _write(
    recipe: Recipe, card: ModelCard, report: Report, by_split: Mapping[str, Predictions], directory: Path
) -> None:
    from model_training.report import page  # noqa: PLC0415 - Matplotlib takes a second to import

    write_card(directory, card, report)
    predictions.save(directory, by_split)
    thumbnails.save(report, recipe.data, card.input_size, directory)
    page.publish(report, directory, card)


def _card(recipe: Recipe, data: Dataset, fitted: Fitted, report: Report, sha256: str) -> ModelCard:
    network, hyperparameters = recipe.architecture, recipe.hyperparameters
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
        seed=hyperparameters.seed,
        epochs=hyperparameters.epochs,
        batch_size=hyperparameters.batch_size,
        training={**hyperparameters.recorded(), "kept_epoch": fitted.kept_epoch},
        metrics={split: evaluation.headline(report.of_split(split) or Evaluation()) for split in data.splits},
        software=software(),
        trained_at=datetime.now(UTC),
        limits=limits_of(data),
    )
