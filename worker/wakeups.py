"""Rings Redis after a commit. A bell that is not heard costs seconds: the sweeper rings again."""

import logging

from kombu.exceptions import OperationalError

from worker import metrics
from worker.celery_app import DETAIL, EXPLAIN, PICTURE_QUEUE, RETRAIN, SCORE, SCORE_QUEUE, TRAIN_QUEUE, app

logger = logging.getLogger(__name__)

#: Bells of one submission. A task goes on while films wait, so one suffices; more let other workers help.
MAX_BELLS = 8
#: Unanswered bells beyond which nobody rings: however many films wait, Redis holds a few kilobytes. More than there
#: are workers, so that each finds one.
MAX_UNANSWERED = 64


def ring_scorers(images: int, batch_size: int) -> bool:
    """Ring for `images` waiting films; tell whether the broker heard it.

    The bell carries no identifier: a worker claims whatever is most urgent when it answers.
    """
    try:
        missing = MAX_UNANSWERED - _unanswered(SCORE_QUEUE)
    except OperationalError:
        logger.warning("the broker does not tell how many bells wait; the sweeper will ring again")
        return False
    return all(_ring(SCORE, SCORE_QUEUE) for _ in range(min(MAX_BELLS, missing, -(-images // batch_size))))


def ring_explainer() -> bool:
    """Ring for the heat maps that are asked for; tell whether the broker heard it."""
    return _ring(EXPLAIN, PICTURE_QUEUE)


def ring_for_detail(image_id: int) -> bool:
    """Ask a worker for the picture in full of one film; tell whether it will come. Nobody rings again.

    Beyond `MAX_UNANSWERED` bells nobody rings: a reader who asks without end holds up no other for long.
    """
    try:
        if _unanswered(PICTURE_QUEUE) >= MAX_UNANSWERED:
            return False
    except OperationalError:
        logger.warning("the broker does not tell how many pictures are asked for; nobody is rung for another")
        return False
    return _ring(DETAIL, PICTURE_QUEUE, image_id=image_id)


def ring_trainer(run_id: int) -> bool:
    """Ring for one retraining run; tell whether the broker heard it."""
    return _ring(RETRAIN, TRAIN_QUEUE, run_id=run_id)


def _unanswered(queue: str) -> int:
    """Return how many messages of a queue no worker has fetched yet.

    Raises:
        OperationalError: the broker does not answer.
    """
    with app.connection_or_acquire() as connection:
        try:
            # Without this, the channel would try a broker that is out for seconds, while a sender waits.
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            declared = connection.default_channel.queue_declare(queue=queue, passive=True)
        except connection.channel_errors:  # Nobody rang yet.
            return 0
        except connection.connection_errors as error:
            connection.collapse()
            raise OperationalError(str(error)) from error
        return int(declared.message_count)


def _ring(task: str, queue: str, **arguments: int) -> bool:
    try:
        app.signature(task, kwargs=arguments).apply_async(queue=queue)
    except OperationalError:
        metrics.count_bell(task, heard=False)
        logger.warning("the broker did not hear %s; the sweeper will ring again", task)
        return False
    metrics.count_bell(task, heard=True)
    return True
