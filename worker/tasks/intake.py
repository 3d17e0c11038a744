"""The Celery tasks of the intake process. They import no decoder and no network, so that intake needs neither."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from billiard.exceptions import TimeLimitExceeded
from celery import Task
from celery.exceptions import Reject
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from worker import celery_app
from worker.broker import sender_keys
from worker.broker.set_aside import Flaw, Place, SetAside
from worker.celery_app import app
from worker.database import now, through_outages
from worker.models import retraining_runs
from worker.monitoring import heartbeats
from worker.settings import settings
from worker.submissions import intake, set_aside_messages
from worker.submissions.callbacks import Courier
from worker.tasks import sweeper

logger = logging.getLogger(__name__)

#: The pause before a message is returned to the broker because the database cannot take it.
PAUSE_SECONDS = 2


@contextmanager
def _returned_to_the_broker() -> Iterator[None]:
    """Return the message at hand to the broker while the database does not answer.

    A statement that the database refuses would be refused again: its error is one of the task.
    """
    try:
        yield
    except (DataError, IntegrityError):
        raise
    except DBAPIError as error:
        logger.error("the database does not answer (%s); a message is returned to the broker", type(error).__name__)  # noqa: TRY400
        time.sleep(PAUSE_SECONDS)
        raise Reject(reason="the database does not answer", requeue=True) from None


class Receive(Task[..., None]):
    """Keeps a message whose acceptance fails: Celery has acknowledged it by then."""

    abstract = True

    def on_failure(
        self,
        exc: BaseException,
        task_id: str,  # noqa: ARG002 - Celery's signature
        args: Any,  # noqa: ANN401, ARG002
        kwargs: dict[str, Any],
        einfo: Any,  # noqa: ANN401, ARG002
    ) -> None:
        """Store the envelope and refuse it; after a time limit the message returns to the broker instead."""
        if isinstance(exc, TimeLimitExceeded):
            return
        envelope = kwargs.get("request")
        data = json.dumps(envelope).encode()
        set_aside_messages.store(SetAside.of(data, Place.INTAKE, Flaw.FAULT, sender_keys.of_envelope(envelope)))


@app.task(name=celery_app.SCORE_REQUEST, base=Receive, acks_on_timeout=False)
def receive(request: object = None, **_unknown: object) -> None:
    """Accept an envelope, or store why it was refused; return it to the broker while the database does not answer."""
    with _returned_to_the_broker():
        intake.receive(request)


@app.task(name=celery_app.SET_ASIDE, acks_on_timeout=False)
def store_set_aside(message: dict[str, Any]) -> None:
    """Store a message that a process could not run."""
    with _returned_to_the_broker():
        set_aside_messages.store(SetAside.model_validate(message))


@cache
def courier() -> Courier:
    """Return this process's courier."""
    return Courier()


@app.task(name=celery_app.SWEEP, bind=True)
def sweep(self: Task[..., None]) -> None:
    """Recover abandoned work, and deliver the callbacks that are due. Where many sweeps waited, one does so."""
    if sweeper.just_swept():
        return
    sweeper.sweep()
    courier().go()
    heartbeats.record_finished_task(str(self.request.hostname))


@app.task(name=celery_app.RETRAIN_NIGHTLY)
def retrain_nightly() -> None:
    """Ask for the run of this night; the first of several beat processes creates it."""
    through_outages(retraining_runs.ask)(by="nightly", night=now().astimezone(ZoneInfo(settings().timezone)).date())
