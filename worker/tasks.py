"""The Celery doors of the worker, a few lines each, and the signals of a process's life."""

import logging
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from celery import Task, signals
from celery.exceptions import Reject
from sqlalchemy.exc import DBAPIError

from worker import celery_app, doorbell, intake, presence, retraining, sweeper
from worker.celery_app import app
from worker.database import forget_parent_connections, is_outage
from worker.errors import ModelUnavailable
from worker.scoring import Scorer
from worker.settings import settings

logger = logging.getLogger(__name__)


@cache
def scorer() -> Scorer:
    """Return this process's scorer."""
    return Scorer(settings())


@app.task(name=celery_app.SCORE, bind=True)
def score(self: Task[..., None]) -> None:
    """Score what waits; the task's id owns the films, so that its redelivery takes them up at once."""
    try:
        still_waiting = scorer().score_waiting(owner=str(self.request.id))
    except ModelUnavailable as error:
        logger.error("nothing can be scored: %s", error)  # noqa: TRY400 - the sentence says it, the films wait on
        return
    presence.worked(str(self.request.hostname), *scorer().loaded())
    if still_waiting:
        doorbell.ring_scorers(1, settings().batch_size)


@app.task(name=celery_app.SCORE_REQUEST)
def receive(request: object) -> None:
    """Accept an envelope; it goes back to the broker if the database is out for longer than we may wait."""
    try:
        intake.receive(request)
    except DBAPIError as error:
        if is_outage(error):
            raise Reject(reason="the database is out", requeue=True) from error
        raise


@app.task(name=celery_app.SWEEP, bind=True)
def sweep(self: Task[..., None]) -> None:
    """Put back what was lost."""
    sweeper.sweep()
    presence.worked(str(self.request.hostname))


@app.task(name=celery_app.RETRAIN_NIGHTLY)
def retrain_nightly() -> None:
    """Ask for the run of this night; the first of several timetables makes it."""
    retraining.ask(by="nightly", night=datetime.now(ZoneInfo(settings().timezone)).date())


@signals.worker_process_init.connect
def _begin_child(**_arguments: Any) -> None:  # noqa: ANN401
    """Give the child connections of its own."""
    forget_parent_connections()
