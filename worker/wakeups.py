"""Wakes other processes by a Celery message after a commit. A lost message costs seconds: the sweeper sends another."""

import logging

from kombu.exceptions import OperationalError

from worker.celery_app import (
    DRAW_FULL_PICTURE,
    DRAW_HEAT_MAPS,
    PICTURE_QUEUE,
    RETRAIN,
    SCORE,
    SCORE_QUEUE,
    TRAIN_QUEUE,
    app,
)
from worker.telemetry import metrics

logger = logging.getLogger(__name__)

#: Wake-ups for one submission. A task goes on while films wait, so one is enough; more let other workers help.
MAX_WAKEUPS = 8
#: No wake-up is sent to a queue that holds this many, so that Redis holds a few kilobytes, however many films wait. The
#: limit is above the number of workers, so that each worker finds a wake-up.
MAX_PENDING = 64


def wake_scorers(images: int, batch_size: int) -> bool:
    """Wake scoring workers for `images` waiting films; return whether the broker took every message.

    The message carries no identifier: a worker claims the most urgent films when it receives one.
    """
    try:
        room = MAX_PENDING - _pending(SCORE_QUEUE)
    except OperationalError:
        logger.warning("the broker does not say how many wake-ups are pending; the sweeper will send one")
        return False
    return all(_send(SCORE, SCORE_QUEUE) for _ in range(min(MAX_WAKEUPS, room, -(-images // batch_size))))


def wake_for_heat_maps() -> bool:
    """Wake a worker to draw the requested heat maps; return whether the broker took the message."""
    return _send(DRAW_HEAT_MAPS, PICTURE_QUEUE)


def wake_for_full_picture(image_id: int) -> bool:
    """Ask a worker for one film's picture at full size; return whether it will come. The sweeper does not repeat this.

    Nothing is sent while `MAX_PENDING` messages wait, so that one reader cannot hold up the others for long.
    """
    try:
        if _pending(PICTURE_QUEUE) >= MAX_PENDING:
            return False
    except OperationalError:
        logger.warning("the broker does not say how many pictures are pending; no further one is requested")
        return False
    return _send(DRAW_FULL_PICTURE, PICTURE_QUEUE, image_id=image_id)


def wake_trainer(run_id: int) -> bool:
    """Wake the trainer for one retraining run; return whether the broker took the message."""
    return _send(RETRAIN, TRAIN_QUEUE, run_id=run_id)


def _pending(queue: str) -> int:
    """Return how many messages of a queue no worker has fetched yet.

    Raises:
        OperationalError: the broker does not answer.
    """
    with app.connection_or_acquire() as connection:
        try:
            # Without this, the channel would retry an unreachable broker for seconds while a sender waits.
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            declared = connection.default_channel.queue_declare(queue=queue, passive=True)
        except connection.channel_errors:  # The queue does not exist until its first message.
            return 0
        except connection.connection_errors as error:
            connection.collect()
            raise OperationalError(str(error)) from error
        return int(declared.message_count)


def _send(task: str, queue: str, **arguments: int) -> bool:
    try:
        app.signature(task, kwargs=arguments).apply_async(queue=queue)
    except OperationalError:
        metrics.count_wakeup(task, delivered=False)
        logger.warning("the broker did not take the wake-up %s; the sweeper will send another", task)
        return False
    metrics.count_wakeup(task, delivered=True)
    return True
