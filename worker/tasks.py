"""The Celery doors of the worker, a few lines each."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from celery import Task
from celery.exceptions import Reject
from sqlalchemy.exc import DBAPIError

from worker import celery_app, metrics, sweeper, wakeups
from worker.celery_app import app
from worker.database import is_outage, through_outages
from worker.errors import ModelUnavailable
from worker.models import retraining_runs
from worker.monitoring import heartbeats
from worker.scoring import full_pictures
from worker.scoring.heat_maps import HeatMapDrawer
from worker.scoring.scorer import Scorer
from worker.settings import settings
from worker.submissions import intake
from worker.submissions.callbacks import Courier

logger = logging.getLogger(__name__)

#: Before a message that the database cannot take is tried again.
PAUSE_SECONDS = 2


@cache
def scorer() -> Scorer:
    """Return this process's scorer."""
    return Scorer(settings())


@cache
def heat_map_drawer() -> HeatMapDrawer:
    """Return this process's heat_map_drawer."""
    return HeatMapDrawer(settings())


@contextmanager
def _dying_of_lack_of_memory() -> Iterator[None]:
    """End this child alone; Celery would end its parent. Its films come back one by one."""
    try:
        yield
    except MemoryError:
        logger.critical("out of memory; this process ends")
        os.kill(os.getpid(), signal.SIGKILL)
        raise


@app.task(name=celery_app.EXPLAIN)
def draw_heat_maps() -> None:
    """Draw the heat maps that are asked for."""
    with _dying_of_lack_of_memory():
        heat_map_drawer().draw_requested()


# Acknowledged at once: a film that kills its decoder at full size kills one process, once.
@app.task(name=celery_app.DETAIL, acks_late=False)
def draw_full_picture(image_id: int) -> None:
    """Make the picture that a reader zooms into."""
    with _dying_of_lack_of_memory():
        full_pictures.draw(image_id, settings())


@app.task(name=celery_app.SCORE, bind=True)
def score(self: Task[..., None]) -> None:
    """Score what waits; the task's id owns the films, so that its redelivery takes them up at once."""
    try:
        with _dying_of_lack_of_memory():
            still_waiting = scorer().score_waiting(owner=str(self.request.id))
    except ModelUnavailable as error:
        logger.error("nothing can be scored: %s", error)  # noqa: TRY400 - the sentence says it, the films wait on
        return
    except DBAPIError as error:
        if is_outage(error):
            # A thread, since the next wake-up may come to another process, and the time limit to this one.
            threading.Thread(target=sweeper.return_uncharged, args=(str(self.request.id),), daemon=True).start()
        raise
    heartbeats.record_finished_task(str(self.request.hostname), *scorer().loaded())
    metrics.name_loaded_model(*scorer().loaded())
    if still_waiting:
        wakeups.wake_scorers(1, settings().batch_size)


@app.task(name=celery_app.SCORE_REQUEST, acks_on_timeout=False)
def receive(request: object = None, **_unknown: object) -> None:
    """Accept an envelope, or keep why it was refused; while the database cannot do either, the broker keeps it."""
    try:
        intake.receive(request)
    except DBAPIError as error:
        logger.error("the database cannot take a message (%s); it goes back", type(error).__name__)  # noqa: TRY400
        time.sleep(PAUSE_SECONDS)
        raise Reject(reason="the database cannot take it", requeue=True) from None


@cache
def courier() -> Courier:
    """Return this process's courier."""
    return Courier()


@app.task(name=celery_app.SWEEP, bind=True)
def sweep(self: Task[..., None]) -> None:
    """Put back what was lost, and tell who wants to be told."""
    sweeper.sweep()
    courier().go()
    heartbeats.record_finished_task(str(self.request.hostname))


@app.task(name=celery_app.RETRAIN_NIGHTLY)
def retrain_nightly() -> None:
    """Ask for the run of this night; the first of several beat processes creates it."""
    through_outages(retraining_runs.ask)(by="nightly", night=datetime.now(ZoneInfo(settings().timezone)).date())
