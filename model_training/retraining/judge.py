"""Has both versions score the gate's films, loaded as a worker loads them, and asks the gate to judge."""

from collections.abc import Mapping
from pathlib import Path

from model_training.data.films import OnFilm
from model_training.metrics import evaluation
from model_training.report.assemble import EXTERNAL
from model_training.retraining import gate
from model_training.retraining.gate import Contestant
from model_training.retraining.gate_films import GATE, GateFilms
from worker.database import reading, through_outages
from worker.models import promotion, registry
from worker.models.classifier import Classifier
from worker.models.documents.report import Report
from worker.models.documents.verdict import Verdict
from worker.models.records import ModelVersion

#: Splits whose figures are shown and decide nothing.
SHOWN = ("test", EXTERNAL)
BATCH_SIZE = 32


def verdict_on(
    candidate: ModelVersion, split: GateFilms, fingerprints: Mapping[str, str], models_dir: Path, on_film: OnFilm
) -> tuple[int | None, Verdict]:
    """Return the id of the version that is active now and the gate's verdict on a candidate beside it.

    Args:
        candidate: a version that is registered and published.
        split: the gate's films.
        fingerprints: the fingerprints of the locked splits.
        models_dir: where versions are published.
        on_film: called for each film that is read.

    Raises:
        ModelUnavailable: a file of one of the two versions is missing or is not the one that was registered.
        DatasetError: films of the gate changed.
    """
    active, known = _active_and_fingerprints()
    of_candidate = _contestant(candidate, split, models_dir, on_film)
    of_active = _contestant(active, split, models_dir, on_film) if active and active.id != candidate.id else None
    films = gate.Films(split.labels, split.classes, split.patients, fingerprints)
    notes = _notes(active, split)
    if active and active.id == candidate.id:
        notes = (*notes, "the candidate is the active version: the same training gave the same bytes")
    return active.id if active else None, gate.judge(
        films, of_candidate, of_active or (of_candidate if active else None), known_fingerprints=known, notes=notes
    )


@through_outages
def _active_and_fingerprints() -> tuple[ModelVersion | None, Mapping[str, str]]:
    with reading() as session:
        last = promotion.latest(session)
        return registry.active(session), last.verdict.fingerprints if last else {}


def _contestant(row: ModelVersion, split: GateFilms, models_dir: Path, on_film: OnFilm) -> Contestant:
    classifier = Classifier.load(models_dir / row.version, registered=row.card, batch_size=BATCH_SIZE)
    probabilities = classifier.predict(split.pixels(classifier.card.input_size, on_film))
    return Contestant(
        row.version,
        classifier.card.classes,
        probabilities,
        _thresholds(row.report),
        classifier.card.trained_on,
        {name: evaluation.headline(part) for name in SHOWN if (part := row.report.of_split(name)) is not None},
    )


def _thresholds(report: Report) -> dict[str, float]:
    return {
        point.class_name: point.threshold
        for point in report.operating_points
        if point.rule == gate.RULE and point.threshold is not None
    }


def _notes(active: ModelVersion | None, split: GateFilms) -> tuple[str, ...]:
    """Return a warning if the active version may have been trained on the gate's films, which would favour it."""
    if active is None or split.own_folder or active.card.training.get(GATE) == split.fingerprint:
        return ()
    note = f"{active.version} was not trained without the gate's films and may know them: the comparison favours it"
    return (f"{note}; a folder `gate` beside the training data would be fair",)
