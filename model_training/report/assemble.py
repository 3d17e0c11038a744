"""Assembles the report of a training run: provenance, data, the course of the training, and the evaluation.

Each figure is computed in a module of its own, from the predictions of one network.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from model_training.data import splitting
from model_training.data.dataset import SPLITS, Dataset, Manifest, patient_of
from model_training.data.films import Labels, reasons_of
from model_training.metrics import calibration, evaluation, operating_points, source_leak, subgroups
from model_training.metrics.calibration import Probabilities
from model_training.networks.hyperparameters import Hyperparameters
from model_training.report.limitations import limits_of
from model_training.report.provenance import provenance
from model_training.report.worst_errors import worst
from model_training.training.fit import Fitted
from model_training.training.predictions import Predictions
from worker.models.documents.evaluation import Evaluation
from worker.models.documents.report import (
    DataSummary,
    Epoch,
    LeftOutFile,
    Report,
    Sample,
    SourceLeak,
    Splitting,
    Subgroup,
    WorstError,
)

#: The split of films of other hospitals.
EXTERNAL = "external"
#: The test films are evaluated a second time without this class: its films come from other hospitals than the rest.
CONFOUNDED_CLASS = "Covid-19"


def assemble(  # noqa: PLR0913 - what was trained, how, on what, and what came of it
    data: Dataset,
    fitted: Fitted,
    hyperparameters: Hyperparameters,
    *,
    summary: DataSummary,
    predictions: Mapping[str, Predictions],
    temperature: float = 1.0,
) -> Report:
    """Return the report without the name of the version, which depends on the content of the model file.

    Every split is evaluated in full; the films of `test` are used here for the first time.

    Args:
        data: the data of the training.
        fitted: the published network, whose last layer is already divided by the temperature.
        hyperparameters: those of the run.
        summary: the summary of the data, from `summarize`.
        predictions: the network's predictions for each split, and for `external` if there are films of other hospitals.
        temperature: the number by which the last layer was divided, fitted on validation films.
    """
    of_split = {split: evaluated(predictions[split], data.classes, data.manifest) for split in data.splits}
    report = Report(
        trained_on=data.kind,
        limits=limits_of(data),
        data=summary,
        training=dict(hyperparameters.recorded()),
        seconds=round(fitted.seconds, 1),
        history=tuple(Epoch.model_validate(entry) for entry in fitted.history),
        kept_epoch=fitted.kept_epoch,
        provenance=provenance(seed=hyperparameters.seed, seconds=fitted.seconds, temperature=temperature),
        train=of_split["train"],
        validation=of_split["validation"],
        test=of_split["test"],
        external=evaluated(predictions[EXTERNAL], data.classes, {}) if EXTERNAL in predictions else None,
        operating_points=tuple(
            operating_points.operating_points(
                validation=_pair(predictions["validation"]), test=_pair(predictions["test"]), classes=data.classes
            )
        ),
        calibration=calibration.before_and_after(
            {split: _pair(predictions[split]) for split in ("validation", "test")}, temperature
        ),
    )
    return report.model_copy(update=_of_test(predictions["test"], data))


def evaluated(predictions: Predictions, classes: Sequence[str], manifest: Manifest) -> Evaluation:
    """Return the evaluation of one set of films; intervals are by patient if a manifest names the patients."""
    return evaluation.evaluate(
        predictions.probabilities,
        predictions.labels,
        classes,
        reasons_of(predictions.left_out),
        patients=patients_of(predictions.names, manifest) if manifest else None,
    )


def by_attribute(predictions: Predictions, classes: Sequence[str], manifest: Manifest) -> list[Subgroup]:
    """Return the results by source, view, sex and age, as far as a manifest states them."""
    attributes = subgroups.attributes(_rows(predictions.names, manifest))
    return subgroups.subgroups(
        predictions.probabilities,
        predictions.labels,
        classes,
        attributes,
        patients=patients_of(predictions.names, manifest),
    )


def patients_of(names: Sequence[str], manifest: Manifest) -> list[str | None]:
    """Return each film's patient, None if unknown."""
    return [patient_of(row) for row in _rows(names, manifest)]


def worst_errors(predictions: Predictions, classes: Sequence[str]) -> list[WorstError]:
    """Return the films that the network named wrongly with the most confidence."""
    return worst(predictions.names, predictions.probabilities, predictions.labels, classes)


def _of_test(predictions: Predictions, data: Dataset) -> dict[str, object]:
    """Return the report's fields that concern the test films alone."""
    rows, patients = _rows(predictions.names, data.manifest), patients_of(predictions.names, data.manifest)
    sources = [row.get("source_repo") or "not stated" for row in rows]
    without = evaluation.evaluate_without(
        CONFOUNDED_CLASS, predictions.probabilities, predictions.labels, data.classes, patients=patients
    )
    return {
        "test_by_source": tuple(evaluation.by_group(predictions.probabilities, predictions.labels, sources))
        if data.manifest
        else (),
        "subgroups": tuple(by_attribute(predictions, data.classes, data.manifest)) if data.manifest else (),
        "without": {} if without is None else {CONFOUNDED_CLASS: without},
        "source_leak": _source_leak(predictions, data, sources, patients) if data.manifest else None,
        "worst_errors": tuple(worst_errors(predictions, data.classes)),
    }


def _source_leak(
    predictions: Predictions, data: Dataset, sources: Sequence[str], patients: Sequence[str | None]
) -> SourceLeak | None:
    if predictions.features is None:
        return None
    return source_leak.source_leak(predictions.features, sources, predictions.labels, data.classes, patients=patients)


def summarize(data: Dataset) -> DataSummary:
    """Return which films there are, and where they and their labels come from, as counts.

    Needs no network, so that a set that cannot be reported fails before it is trained on.
    """
    summary = DataSummary(
        fingerprint=data.fingerprint,
        counts=data.counts,
        left_out=tuple(LeftOutFile.model_validate(asdict(entry)) for entry in data.left_out),
        samples=tuple(_samples(data)),
        splitting=_splitting(data.splitting) if data.splitting else None,
    )
    origins = {
        key: {split: _origins(data, split, column) for split in SPLITS}
        for key, column in (("sources", "source_repo"), ("label_sources", "label_provenance"))
        if any(row.get(column) for row in data.manifest.values())
    }
    return summary.model_copy(update=origins)


def _splitting(made: splitting.Splitting) -> Splitting:
    return Splitting(seed=made.seed, groups=made.groups, fractions=dict(made.fractions))


def _origins(data: Dataset, split: str, column: str) -> dict[str, dict[str, int]]:
    """Return {origin: {class: films}} of one split, by what a column of the manifest states."""
    films = data.splits[split]
    origins = [row.get(column) or "not stated" for row in _rows(films.names, data.manifest)]
    counts = Counter(zip(origins, films.labels.tolist(), strict=True))
    return {
        origin: {name: counts[origin, index] for index, name in enumerate(data.classes)}
        for origin in sorted(set(origins))
    }


def _samples(data: Dataset) -> list[Sample]:
    """Return one training film of each class, by its name: the one with the lowest hash, so that nobody chose it."""
    films = data.splits["train"]
    by_digest = sorted(zip(films.sha256, films.names, films.labels.tolist(), strict=True), reverse=True)
    first = {label: name for _, name, label in by_digest}
    return [Sample(class_name=data.classes[label], film=first[label]) for label in sorted(first)]


def _rows(names: Sequence[str], manifest: Manifest) -> list[Mapping[str, str]]:
    return [manifest.get(name, {}) for name in names]


def _pair(predictions: Predictions) -> tuple[Probabilities, Labels]:
    return predictions.probabilities, predictions.labels
