"""`thoraq compare`: versions of the network beside the paper's, or two versions on the same films."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from sqlalchemy import select

from model_training.commands.progress import bars
from model_training.commands.tables import print_comparison, print_versions
from model_training.data.class_folders import DatasetError
from model_training.evaluating import PredictedFilms, predict_films
from model_training.report.versions import row_of
from worker.commands.console import json_option, print_json, query_if_possible
from worker.commands.model_choice import resolve
from worker.errors import ModelUnavailable
from worker.models.classifier import Classifier
from worker.models.directory import SHIPPED, read_card, read_report
from worker.models.documents.card import ModelCard
from worker.models.records import ModelVersion
from worker.settings import settings

#: Two versions are compared film by film.
PAIR = 2


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Compare two models on these films: a folder of class folders or of splits with a split test, or a manifest.",
)
@json_option
def compare(*, models: tuple[str, ...], data: Path | None, as_json: bool) -> None:
    """Print versions side by side, each with the paper's row, or compare two on the same films of --data.

    MODEL is a model directory or its file, a registered version, or `active`. Without MODEL, all registered and shipped
    versions are printed. With --data, differences are the second model minus the first.

    Example: thoraq compare candidate active --data films
    """
    if data is not None and len(models) != PAIR:
        raise click.UsageError("--data needs two models")
    directories = [resolve(model) for model in models] or list(_known_directories())
    if data is not None:
        _on_the_same_films(directories, data, as_json=as_json)
        return
    try:
        rows = [row_of(read_card(directory), read_report(directory)) for directory in directories]
    except ModelUnavailable as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json(rows)
    else:
        print_versions(rows)


def _known_directories() -> Iterator[Path]:
    """Yield the directories of the registered versions, and of the shipped ones that are not registered."""
    versions = _registered_versions()
    yield from (settings().models_dir / version for version in versions)
    yield from (shipped for shipped in SHIPPED if read_card(shipped).version not in versions)


def _registered_versions() -> list[str]:
    """Return the registered versions, or an empty list if there is no database or no schema yet."""
    versions = select(ModelVersion.version).order_by(ModelVersion.id)
    return query_if_possible(lambda session: list(session.scalars(versions)), "comparing the shipped models") or []


def _on_the_same_films(directories: Sequence[Path], data: Path, *, as_json: bool) -> None:
    from model_training.metrics.comparison import compare as compared  # noqa: PLC0415 - SciPy takes a second to import
    from model_training.report.assemble import patients_of  # noqa: PLC0415 - likewise

    (card_a, a), (card_b, b) = (_predict(directory, data) for directory in directories)
    if card_a.classes != card_b.classes:
        raise click.UsageError(
            f"the models have different classes: {', '.join(card_a.classes)}, and {', '.join(card_b.classes)}"
        )
    # The film checks of the two models may reject different films.
    of_other = set(b.predictions.names)
    both = [name for name in a.predictions.names if name in of_other]
    if not both:
        raise click.UsageError("there is no film that both models accept")
    of_a, of_b = a.predictions.select(both), b.predictions.select(both)
    comparison = compared(
        of_a.probabilities,
        of_b.probabilities,
        of_a.labels,
        card_a.classes,
        names=(card_a.version, card_b.version),
        patients=patients_of(of_a.names, a.manifest) if a.manifest else None,
    )
    left_out = len({*a.predictions.names, *b.predictions.names}) - len(both)
    comparison = comparison.model_copy(update={"left_out": left_out})
    if as_json:
        print_json(comparison)
    else:
        print_comparison(comparison)


def _predict(directory: Path, data: Path) -> tuple[ModelCard, PredictedFilms]:
    with bars() as progress:
        try:
            classifier = Classifier.load(directory)
            task = progress.add_task(f"films for {classifier.card.version}", total=None, note="")
            return classifier.card, predict_films(
                classifier, data, lambda done, total: progress.update(task, completed=done, total=total)
            )
        except DatasetError as error:
            raise click.BadParameter(str(error), param_hint="--data") from error
        except ModelUnavailable as error:
            raise click.UsageError(str(error)) from error
