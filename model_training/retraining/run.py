"""A retraining run from its row to a judged candidate; promotes nothing unless a setting says so. Knows no Celery."""

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
from worker import atomic_files
from worker.database import through_outages, transaction
from worker.errors import ModelUnavailable
from worker.models import directory, promotion, registry, retraining_runs
from worker.models.documents.retraining import LearnedFrom, RunRequest
from worker.models.documents.verdict import Verdict
from worker.models.records import ModelVersion, RetrainingRun
from worker.settings import settings as worker_settings

logger = logging.getLogger(__name__)

#: By whom a candidate was promoted that passed the gate, where the setting allows it.
AUTOMATIC = "the gate, automatically"


@dataclass(frozen=True)
class _Run:
    """What this process needs to know of the run that it has."""

    id: int
    owner: str
    recipe: Recipe
    #: What an earlier process told that it learned from; None for a run that begins.
    learned_from: LearnedFrom | None


def retrain(run_id: int) -> None:
    """Carry out an asked run and record how it ended; a run that another took is left alone.

    Raises:
        Exception: whatever was not foreseen, after the run is recorded as failed.
    """
    owner = f"{socket.gethostname()[:20]}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    row = retraining_runs.start(run_id, owner)
    if row is None:
        logger.info("run %d is taken or over", run_id)
        return
    try:
        message, candidate_id = _carry_out(row, owner)
    except (DatasetError, FloatingPointError, ModelUnavailable) as error:
        retraining_runs.fail(run_id, owner, str(error))
    except RunStopped:
        retraining_runs.stopped(run_id, owner)
    except RunLost:
        logger.warning("run %d is not this trainer's any more", run_id)
        return
    except Exception as error:  # The process's edge: no run may stay "running" because of what nobody foresaw.
        retraining_runs.fail(run_id, owner, f"stopped by {type(error).__name__}; the trainer's log says more")
        raise
    else:
        retraining_runs.finish(run_id, owner, candidate_id=candidate_id, message=message)
    shutil.rmtree(_candidate_directory(run_id), ignore_errors=True)


def _carry_out(row: RetrainingRun, owner: str) -> tuple[str, int]:
    """Return a sentence about the candidate and its id."""
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
    """Return the directory of the candidate, which has its name when it is whole: a killed run finds it finished."""
    target = _candidate_directory(run.id)
    if target.is_dir():
        return target
    for left in (*target.parent.glob("run-*"), *target.parent.glob(".run-*")):  # Of runs that were killed or failed.
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
    """Store the verdict and tell whether the candidate was promoted on it, which only a setting allows."""
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
        return f"{summary}the gate refuses it: {'; '.join(verdict.reasons)}"
    return summary + ("it passed the gate and is active" if promoted else "it passed the gate; not promoted")


def _recipe(request: RunRequest, wanted: TrainingSettings) -> Recipe:
    """Return what the run, or else the settings, ask to train.

    Raises:
        DatasetError: no data are configured, or a network that does not exist.
    """
    data, network = request.data or wanted.data, request.network or wanted.network
    if data is None:
        raise DatasetError(
            "no training data are configured: set THORAQ_TRAINING_DATA to a folder of train, validation and test"
        )
    if network not in NETWORKS:
        raise DatasetError(f"THORAQ_TRAINING_NETWORK is {network}; there are {', '.join(NETWORKS)}")
    epochs, seed = request.epochs or wanted.epochs, wanted.seed if request.seed is None else request.seed
    return Recipe(Path(data), network, epochs, seed, wanted.external)
