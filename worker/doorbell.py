"""Rings Redis after a commit. A bell that is not heard costs seconds: the sweeper rings again."""

import logging

from kombu.exceptions import OperationalError

from worker import measurements
from worker.celery_app import EXPLAIN, RETRAIN, SCORE, SCORE_QUEUE, TRAIN_QUEUE, app

logger = logging.getLogger(__name__)

#: Bells of one submission. A task goes on while films wait, so one suffices; more let other workers help.
MAX_BELLS = 8


def ring_scorers(images: int, batch_size: int) -> bool:
    """Ring for `images` waiting films; tell whether the broker heard it.

    The bell carries no identifier: a worker claims whatever is most urgent when it answers.
    """
    return all(_ring(SCORE, SCORE_QUEUE) for _ in range(min(MAX_BELLS, -(-images // batch_size))))


def ring_explainer() -> bool:
    """Ring for the heat maps that are asked for; tell whether the broker heard it."""
    return _ring(EXPLAIN, SCORE_QUEUE)


def ring_trainer(run_id: int) -> bool:
    """Ring for one retraining run; tell whether the broker heard it."""
    return _ring(RETRAIN, TRAIN_QUEUE, run_id=run_id)


def _ring(task: str, queue: str, **arguments: int) -> bool:
    try:
        app.signature(task, kwargs=arguments).apply_async(queue=queue)
    except OperationalError:
        measurements.count_bell(task, heard=False)
        logger.warning("the broker did not hear %s; the sweeper will ring again", task)
        return False
    measurements.count_bell(task, heard=True)
    return True
