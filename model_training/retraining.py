"""A retraining run from its row to a registered candidate; it promotes nothing. Knows no Celery."""

import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from model_training.candidate import Recipe, make
from model_training.films import DatasetError
from model_training.networks import NETWORKS
from model_training.settings import settings
from worker import registry, retraining
from worker.database import is_outage, through_outages, transaction
from worker.settings import settings as worker_settings

logger = logging.getLogger(__name__)

#: A sign of life this often; a run that is silent for `worker.retraining.SILENCE_SECONDS` is given up.
HEARTBEAT_SECONDS = 10


class RunProgress:
    """Tells the run's row how far it is; while the database is out the training goes on untold."""

    def __init__(self, run_id: int, epochs_planned: int) -> None:
        """Start with no epoch done."""
        self._run_id = run_id
        self._done, self._planned = 0, epochs_planned
        self._told_at = -float(HEARTBEAT_SECONDS)

    def on_film(self, _done: int, _total: int) -> None:
        """Give a sign of life while films are read."""
        self.on_step()

    def on_step(self) -> None:
        """Give a sign of life, if the last is long enough ago."""
        if time.monotonic() - self._told_at >= HEARTBEAT_SECONDS:
            self._tell()

    def on_epoch(self, done: int, _planned: int, _logs: Mapping[str, float]) -> None:
        """Tell of a finished epoch."""
        self._done = done
        self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        try:
            retraining.progress(self._run_id, self._done, self._planned)
        except DBAPIError as error:
            if not is_outage(error):
                raise
            logger.warning("run %d goes on, but the database does not answer", self._run_id)


def retrain(run_id: int) -> None:
    """Carry out an asked run and record how it ended; a run that another took is left alone.

    Raises:
        Exception: whatever was not foreseen, after the run is recorded as failed.
    """
    if not retraining.start(run_id):
        logger.info("run %d is taken or over", run_id)
        return
    try:
        candidate_id, message = _train_and_register(run_id)
    except (DatasetError, FloatingPointError) as error:
        retraining.fail(run_id, str(error))
    except Exception as error:  # The process's edge: no run may stay "running" because of what nobody foresaw.
        retraining.fail(run_id, f"stopped by {type(error).__name__}; the trainer's log says more")
        raise
    else:
        retraining.finish(run_id, candidate_id=candidate_id, message=message)


def _train_and_register(run_id: int) -> tuple[int, str]:
    """Return the id of the registered candidate and a sentence about it."""
    recipe = _recipe()
    with tempfile.TemporaryDirectory(prefix="thoraq-candidate-") as directory:
        card = make(recipe, Path(directory), RunProgress(run_id, recipe.knobs.epochs))
        published = registry.publish(Path(directory), worker_settings().models_dir)
    row_id = _register(published)
    test = card.metrics["test"]
    return row_id, f"registered {card.version}: accuracy {test['accuracy']:.3f} on {test['n']} test films; not promoted"


@through_outages
def _register(published: Path) -> int:
    with transaction() as session:
        return registry.register(session, published).id


def _recipe() -> Recipe:
    """Return what the settings ask to train.

    Raises:
        DatasetError: no data are configured, or a network that does not exist.
    """
    wanted = settings()
    if wanted.data is None:
        raise DatasetError(
            "no training data are configured: set THORAQ_TRAINING_DATA to a folder of train, validation and test"
        )
    if wanted.network not in NETWORKS:
        raise DatasetError(f"THORAQ_TRAINING_NETWORK is {wanted.network}; there are {', '.join(NETWORKS)}")
    return Recipe(wanted.data, wanted.network, wanted.epochs, wanted.seed)
