"""The Celery tasks of the intake process. They import no decoder and no network, so that intake needs neither."""

import logging
import time
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from celery import Task
from celery.exceptions import Reject
from sqlalchemy.exc import DBAPIError

from worker import celery_app, sweeper
from worker.celery_app import app
from worker.database import through_outages
from worker.models import retraining_runs
from worker.monitoring import heartbeats
from worker.settings import settings
from worker.submissions import intake
from worker.submissions.callbacks import Courier

logger = logging.getLogger(__name__)

#: The pause before a message is returned to the broker because the database cannot take it.
PAUSE_SECONDS = 2


@app.task(name=celery_app.SCORE_REQUEST, acks_on_timeout=False)
def receive(request: object = None, **_unknown: object) -> None:
    """Accept an envelope, or store why it was refused; return it to the broker while the database does not answer."""
    try:
        intake.receive(request)
    except DBAPIError as error:
        logger.error("the database does not answer (%s); a message is returned to the broker", type(error).__name__)  # noqa: TRY400
        time.sleep(PAUSE_SECONDS)
        raise Reject(reason="the database does not answer", requeue=True) from None


@cache
def courier() -> Courier:
    """Return this process's courier."""
    return Courier()


@app.task(name=celery_app.SWEEP, bind=True)
def sweep(self: Task[..., None]) -> None:
    """Recover abandoned work, and deliver the callbacks that are due."""
    sweeper.sweep()
    courier().go()
    heartbeats.record_finished_task(str(self.request.hostname))


@app.task(name=celery_app.RETRAIN_NIGHTLY)
def retrain_nightly() -> None:
    """Ask for the run of this night; the first of several beat processes creates it."""
    through_outages(retraining_runs.ask)(by="nightly", night=datetime.now(ZoneInfo(settings().timezone)).date())
