"""`thoraq evaluate`: evaluates a model on labelled films."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from model_training.commands.progress import bars
from model_training.commands.tables import print_evaluation
from model_training.data.class_folders import DatasetError
from model_training.evaluating import PredictedFilms, predict_films
from model_training.report.assemble import by_attribute, evaluated, worst_errors
from worker.commands.console import print_json
from worker.commands.model_choice import model_option, resolve
from worker.models.classifier import Classifier
from worker.models.documents.evaluation import Evaluation
from worker.models.documents.report import Report, Subgroup


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path))
@model_option
@click.option(
    "--json",
    "json_path",
    metavar="[FILE]",
    is_flag=False,
    flag_value="-",
    help="Write the evaluation as JSON to FILE. Without FILE, or with -, print only JSON.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the evaluation as a page, and the films of the worst errors to a folder beside it.",
)
def evaluate(*, data: Path, model: str, json_path: str | None, html: Path | None) -> None:
    """Evaluate a model on a folder of class folders, on its split test if it has one, or on the films of a manifest.

    With a manifest, the results are also given by source, view, sex and age, and the intervals take
    patients with several films into account.

    Example: thoraq evaluate --data films --json evaluation.json
    """
    classifier = Classifier.load(resolve(model))
    predicted = _predict(classifier, data)
    classes, manifest = classifier.card.classes, predicted.manifest
    evaluation = evaluated(predicted.predictions, classes, manifest)
    subgroups = by_attribute(predicted.predictions, classes, manifest) if manifest else []
    result = {"model": classifier.card.version, **evaluation.stored()}
    if manifest:
        result["subgroups"] = [group.stored() for group in subgroups]
    if html:
        _write_page(evaluation, subgroups, predicted, classifier, data, html)
    if json_path == "-":
        print_json(result)
        return
    if json_path:
        Path(json_path).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    for limit in classifier.card.limits:
        click.echo(f"- {limit}")
    print_evaluation(evaluation, f"{classifier.card.version} on {data}")


def _predict(classifier: Classifier, data: Path) -> PredictedFilms:
    with bars() as progress:
        reading = progress.add_task("reading films", total=None, note="")
        try:
            return predict_films(
                classifier, data, lambda done, total: progress.update(reading, completed=done, total=total)
            )
        except DatasetError as error:
            raise click.BadParameter(str(error), param_hint="--data") from error


def _write_page(  # noqa: PLR0917 - what was evaluated, and where it goes
    evaluation: Evaluation,
    subgroups: Sequence[Subgroup],
    predicted: PredictedFilms,
    classifier: Classifier,
    data: Path,
    html: Path,
) -> None:
    from model_training.report import page, thumbnails  # noqa: PLC0415 - Matplotlib takes a second to import

    card = classifier.card
    report = Report(
        version=card.version,
        network=card.network,
        trained_on=card.trained_on,
        limits=card.limits,
        on="given films",
        test=evaluation,
        subgroups=tuple(subgroups),
        worst_errors=tuple(worst_errors(predicted.predictions, card.classes)),
    )
    folder = page.folder_of(html)
    try:
        thumbnails.save(report, data, card.input_size, folder)
        page.write(
            report,
            html,
            predictions={"test": predicted.predictions},
            card=card,
            thumbnails=folder / thumbnails.THUMBNAILS_DIR,
        )
    except OSError as error:
        raise click.BadParameter(f"{html}: {error.strerror}", param_hint="--html") from error
