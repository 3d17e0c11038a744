"""The Celery tasks of a scoring worker."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from celery import Task
from sqlalchemy.exc import DBAPIError

from worker import celery_app, wakeups
from worker.celery_app import app
from worker.database import is_outage
from worker.errors import ModelUnavailable
from worker.monitoring import heartbeats
from worker.scoring import full_pictures
from worker.scoring.heat_maps import HeatMapDrawer
from worker.scoring.scorer import Scorer
from worker.settings import settings
from worker.tasks import sweeper
from worker.telemetry import metrics

logger = logging.getLogger(__name__)


@cache
def scorer() -> Scorer:
    """Return this process's scorer."""
    return Scorer(settings())


@cache
def heat_map_drawer() -> HeatMapDrawer:
    """Return this process's drawer of heat maps."""
    return HeatMapDrawer(settings())


@contextmanager
def _killed_without_memory() -> Iterator[None]:
    """When memory runs out, kill only this child; Celery would end its parent. Its films are tried again one by one."""
    try:
        yield
    except MemoryError:
        logger.critical("out of memory; this process ends")
        os.kill(os.getpid(), signal.SIGKILL)
        raise


@app.task(name=celery_app.DRAW_HEAT_MAPS)
def draw_heat_maps() -> None:
    """Draw the requested heat maps."""
    with _killed_without_memory():
        heat_map_drawer().draw_requested()


# Acknowledged before it runs: a film that kills the process at full size does so only once.
@app.task(name=celery_app.DRAW_FULL_PICTURE, acks_late=False)
def draw_full_picture(image_id: int) -> None:
    """Draw the full-size picture of a film, into which a reader zooms."""
    with _killed_without_memory():
        full_pictures.draw(image_id, settings())


@app.task(name=celery_app.SCORE, bind=True)
def score(self: Task[..., None]) -> None:
    """Score waiting films; the task's id owns them, so that a redelivered message can reclaim them at once."""
    try:
        with _killed_without_memory():
            still_waiting = scorer().score_waiting(owner=str(self.request.id))
    except ModelUnavailable as error:
        logger.error("nothing can be scored: %s", error)  # noqa: TRY400 - the message is enough; the films keep waiting
        return
    except DBAPIError as error:
        if is_outage(error):
            # A thread, because the next wake-up may reach another process, and the time limit may end this one.
            threading.Thread(target=sweeper.return_uncharged, args=(str(self.request.id),), daemon=True).start()
        raise
    heartbeats.record_finished_task(str(self.request.hostname), *scorer().loaded())
    metrics.name_loaded_model(*scorer().loaded())
    if still_waiting:
        wakeups.wake_scorers(1, settings().batch_size)
