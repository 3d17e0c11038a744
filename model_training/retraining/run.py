"""Carries out a retraining run, from its row to a judged candidate. Promotes only if a setting says so."""

import logging
import os
import shutil
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

from model_training import candidate
from model_training.candidate import Recipe
from model_training.data.class_folders import DatasetError
from model_training.networks.catalogue import NETWORKS
from model_training.report.formatting import share
from model_training.retraining import judge, training_set
from model_training.retraining.gate_films import GATE
from model_training.retraining.heartbeat import RunHeartbeat, RunLost, RunStopped
from model_training.retraining.training_set import TrainingSet
from model_training.settings import TrainingSettings, settings
from worker.database import through_outages, transaction
from worker.errors import ModelUnavailable
from worker.models import directory, promotion, registry, retraining_runs
from worker.models.documents.retraining import LearnedFrom, RunRequest
from worker.models.documents.verdict import Verdict
from worker.models.records import ModelVersion, RetrainingRun
from worker.settings import settings as worker_settings
from worker.storage import atomic_files

logger = logging.getLogger(__name__)

#: Recorded as the person who promoted a candidate when the setting did.
AUTOMATIC = "the gate, automatically"


@dataclass(frozen=True)
class _Run:
    """The run that this process carries out."""

    id: int
    owner: str
    recipe: Recipe
    #: The training set of an earlier process that was interrupted; None for a new run.
    learned_from: LearnedFrom | None


def retrain(run_id: int) -> None:
    """Carry out a requested run and record its end. Does nothing if another trainer has the run.

    Raises:
        Exception: an unexpected error, after the run is recorded as failed.
    """
    owner = f"{socket.gethostname()[:20]}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    row = retraining_runs.start(run_id, owner)
    if row is None:
        logger.info("run %d has another trainer or has ended", run_id)
        return
    try:
        message, candidate_id = _carry_out(row, owner)
    except (DatasetError, FloatingPointError, ModelUnavailable) as error:
        retraining_runs.fail(run_id, owner, str(error))
    except RunStopped:
        retraining_runs.stopped(run_id, owner)
    except RunLost:
        logger.warning("run %d no longer belongs to this trainer", run_id)
        return
    except Exception as error:  # Otherwise the run would stay "running".
        retraining_runs.fail(run_id, owner, f"stopped by {type(error).__name__}; see the trainer's log")
        raise
    else:
        retraining_runs.finish(run_id, owner, candidate_id=candidate_id, message=message)
    shutil.rmtree(_candidate_directory(run_id), ignore_errors=True)


def _carry_out(row: RetrainingRun, owner: str) -> tuple[str, int]:
    """Return a sentence about the candidate, and its id."""
    run = _Run(row.id, owner, _recipe(row.request, settings()), row.learned_from)
    with RunHeartbeat(
        run.id, owner, run.recipe.hyperparameters.epochs, worker_settings().heartbeat_seconds
    ) as heartbeat:
        training = training_set.prepare(
            run.recipe.data,
            run.recipe.architecture.input_size,
            seed=0,
            resumed_from=run.learned_from,
            on_film=heartbeat.on_film,
        )
        retraining_runs.note(run.id, _describe(training), training.learned_from)
        candidate_directory = _train(run, training, heartbeat)
        published = _register(directory.publish(candidate_directory, worker_settings().models_dir))
        retraining_runs.note(run.id, f"registered {published.version}")
        active_id, verdict = judge.verdict_on(
            published,
            training.gate,
            training.learned_from.fingerprints,
            worker_settings().models_dir,
            heartbeat.on_film,
        )
        promoted = _record_verdict(published, active_id, verdict)
    return _message(published, verdict, promoted=promoted), published.id


def _describe(training: TrainingSet) -> str:
    corrections = training.learned_from.corrections
    films = len(training.data.splits["train"])
    return (
        f"learns from {films} films, {len(corrections.films)} of them confirmed by clinicians; "
        f"{len(corrections.left_out)} reviewed films are left out; {len(training.gate.files)} films judge"
    )


def _candidate_directory(run_id: int) -> Path:
    return worker_settings().data_dir / "candidates" / f"run-{run_id}"


def _train(run: _Run, training: TrainingSet, heartbeat: RunHeartbeat) -> Path:
    """Return the candidate's directory. It has this name only when complete, so that a killed run can find it."""
    target = _candidate_directory(run.id)
    if target.is_dir():
        return target
    for left in (
        *target.parent.glob("run-*"),
        *target.parent.glob(".run-*"),
    ):  # Left by runs that were killed or failed.
        shutil.rmtree(left, ignore_errors=True)
    scratch = target.with_name(f".{target.name}")
    scratch.mkdir(parents=True)
    corrected_films = len(training.learned_from.corrections.films)
    candidate.build(
        run.recipe,
        scratch,
        heartbeat,
        training.data,
        {GATE: training.gate.fingerprint, "corrected_films": corrected_films},
    )
    atomic_files.rename_directory(scratch, target)
    return target


@through_outages
def _register(published: Path) -> ModelVersion:
    with transaction() as session:
        return registry.register(session, published)


@through_outages
def _record_verdict(row: ModelVersion, active_id: int | None, verdict: Verdict) -> bool:
    """Store the verdict, promote the candidate if a setting allows it, and return whether it was promoted."""
    with transaction() as session:
        promotion.record(session, row.id, active_id, verdict)
        if not settings().automatic_promotion or promotion.reasons_against(session, row):
            return False
        promotion.promote(session, row.version, AUTOMATIC)
        return True


def _message(row: ModelVersion, verdict: Verdict, *, promoted: bool) -> str:
    test = row.card.metrics["test"]
    summary = f"registered {row.version}: accuracy {share(test.accuracy)} on {test.n} test films; "
    if not verdict.passed:
        return f"{summary}the gate rejects it: {'; '.join(verdict.reasons)}"
    return summary + ("it passed the gate and is active" if promoted else "it passed the gate; not promoted")


def _recipe(request: RunRequest, defaults: TrainingSettings) -> Recipe:
    """Return what to train: the values of the request, completed by the settings.

    Raises:
        DatasetError: no data are configured, or the network does not exist.
    """
    data, network = request.data or defaults.data, request.network or defaults.network
    if data is None:
        raise DatasetError(
            "no training data are configured: set THORAQ_TRAINING_DATA to a folder of train, validation and test"
        )
    if network not in NETWORKS:
        raise DatasetError(f"THORAQ_TRAINING_NETWORK is {network}; there are {', '.join(NETWORKS)}")
    epochs, seed = request.epochs or defaults.epochs, defaults.seed if request.seed is None else request.seed
    return Recipe(Path(data), network, epochs, seed, defaults.external)
