"""Notifies configured endpoints that a submission is finished: signed, at least once, from an outbox in SQL.

Only addresses that the operator configured are called; a sender refers to one by its name, and no redirect is followed.
Headers and signature follow Standard Webhooks (https://www.standardwebhooks.com), for which receivers find libraries.
Runs in the intake process, so that no scoring waits for an endpoint.
"""

import base64
import hashlib
import hmac
import json
import logging
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import urllib3
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from worker import NOTICE
from worker.database import clock, now, transaction
from worker.settings import CallbackEndpoint, settings
from worker.studies.outcomes import outcomes, submission_status
from worker.studies.records import Study, StudyState, Submission
from worker.submissions import timed_calls
from worker.submissions.records import Delivery
from worker.submissions.timed_calls import Overdue

logger = logging.getLogger(__name__)

#: The type of the payload; its last part is the major version.
EVENT = "cxr.submission.finished.v1"
#: The most submissions that one round puts into the outbox, and the most deliveries that it tries.
ROUND = 20
#: The longest that one call takes, from the name of the endpoint to the status of its answer.
TIMEOUT_SECONDS = 10
#: For how long no other process tries a claimed delivery; longer than a call and its record.
LEASE_SECONDS = 60
BACK_OFF_SECONDS = 30
LONGEST_BACK_OFF_SECONDS = 3600
#: About a day, with the back-off above.
MAX_ATTEMPTS = 30


def add_events(session: Session) -> int:
    """Put an event into the outbox for up to `ROUND` submissions whose callback is due; return for how many."""
    waits = exists().where(Study.submission_id == Submission.id, Study.state == StudyState.WAITING)
    finished = session.scalars(
        select(Submission)
        .where(Submission.callback_due.is_(True), ~waits)
        .limit(ROUND)
        .with_for_update(of=Submission, skip_locked=True)
    ).all()
    for submission in finished:
        earlier = select(func.count()).select_from(Delivery).where(Delivery.submission_id == submission.id)
        session.add(
            Delivery(
                event_id=str(uuid.uuid4()),
                submission_id=submission.id,
                sequence=1 + (session.scalar(earlier) or 0),
                endpoint=submission.callback or "",
            )
        )
        submission.callback_due = None
    return len(finished)


def deliver_due() -> int:
    """Add events of finished submissions, then try each due delivery in turn; return how many were delivered.

    An endpoint that fails is skipped for the rest of the round, so that it cannot delay the others.
    """
    with transaction() as session:
        add_events(session)
    delivered, failed = 0, set[str]()
    for delivery_id in _due():
        claimed = _claim(delivery_id, failed)
        if claimed is None:
            continue
        endpoint, event_id, body = claimed
        error = post(endpoint, event_id, body)
        if error:
            failed.add(endpoint)
        delivered += error is None
        _record(delivery_id, error)
    return delivered


def payload(session: Session, delivery: Delivery) -> dict[str, Any]:
    """Return the body of a call: the current state of the submission and its outcomes."""
    submission = delivery.submission
    counts = submission_status(session, submission.id)
    return {
        "type": EVENT,
        "timestamp": now().isoformat(),
        "event_id": delivery.event_id,
        "sequence": delivery.sequence,
        "data": {
            "submission_id": submission.id,
            "source": submission.source,
            "request_id": submission.request_id,
            "counts": counts.model_dump(include={"waiting", "scoring", "scored", "rejected", "refused"}),
            "outcomes": [
                outcome.model_dump(
                    mode="json",
                    include={"reference", "outcome", "reason", "label", "probabilities", "model_version", "trained_on"},
                )
                for outcome in outcomes(session, submission.id)
            ],
            "notice": NOTICE,
        },
    }


def signature(secret: bytes, event_id: str, moment: datetime, body: bytes) -> str:
    """Return `v1,` and the base64 of the HMAC-SHA256 over event id, UNIX time and body, joined by full stops."""
    signed = f"{event_id}.{int(moment.timestamp())}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def post(name: str, event_id: str, body: bytes) -> str | None:
    """Call the endpoint of this name; return a short description of the error, or None."""
    endpoint = settings().callbacks.get(name)
    if endpoint is None:
        return "the endpoint is not configured"
    try:
        answer = _call(endpoint, event_id, body)
    except Overdue:
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    except urllib3.exceptions.HTTPError as error:
        return type(error).__name__
    return None if 200 <= answer < 300 else f"answered {answer}"  # noqa: PLR2004 - the range of success in HTTP


def _call(endpoint: CallbackEndpoint, event_id: str, body: bytes) -> int:
    moment = now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Thoraq",
        "Webhook-Id": event_id,
        "Webhook-Timestamp": str(int(moment.timestamp())),
        "Webhook-Signature": signature(endpoint.key(), event_id, moment, body),
    }
    return timed_calls.post(str(endpoint.url), body, headers, TIMEOUT_SECONDS)


def _due() -> list[int]:
    """Return the ids of due deliveries; for each submission only its earliest event, which keeps them in order."""
    before = aliased(Delivery)
    pending = before.next_at.is_not(None)
    earlier = exists().where(
        before.submission_id == Delivery.submission_id, before.sequence < Delivery.sequence, pending
    )
    query = select(Delivery.id).where(Delivery.next_at <= clock(), ~earlier).order_by(Delivery.next_at).limit(ROUND)
    with transaction() as session:
        return list(session.scalars(query))


def _claim(delivery_id: int, failed: set[str]) -> tuple[str, str, bytes] | None:
    """Claim a delivery; return (endpoint, event id, body), or None if it is claimed or its endpoint just failed."""
    with transaction() as session:
        due = Delivery.id == delivery_id, Delivery.next_at <= clock()
        delivery = session.scalar(select(Delivery).where(*due).with_for_update(skip_locked=True))
        if delivery is None or delivery.endpoint in failed:
            return None
        delivery.attempts += 1
        delivery.next_at = clock(timedelta(seconds=LEASE_SECONDS))
        session.flush()
        endpoint, event_id = delivery.endpoint, delivery.event_id
        return endpoint, event_id, json.dumps(payload(session, delivery)).encode()


def _record(delivery_id: int, error: str | None) -> None:
    """Record the result of an attempt: delivered, due again after a pause that doubles, or given up."""
    with transaction() as session:
        delivery = session.get_one(Delivery, delivery_id)
        delivery.trouble = error
        if error is None:
            delivery.delivered_at, delivery.next_at = now(), None
        elif delivery.attempts >= MAX_ATTEMPTS:
            delivery.given_up_at, delivery.next_at = now(), None
            logger.error(
                "an event for the endpoint %s is given up after %d attempts: %s", delivery.endpoint, MAX_ATTEMPTS, error
            )
        else:
            pause = min(LONGEST_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2 ** (delivery.attempts - 1))
            delivery.next_at = clock(timedelta(seconds=pause))
            logger.warning("the endpoint %s could not be notified: %s", delivery.endpoint, error)


class Courier:
    """Delivers callbacks in a thread of its own, so that a slow endpoint delays neither messages nor sweeps."""

    def __init__(self) -> None:
        """Create the thread; `go` starts a round in it."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="courier")
        self._round: Future[int] | None = None

    def go(self) -> None:
        """Start a round unless one is running; log the error of the last one, if it had one."""
        if self._round and not self._round.done():
            return
        if self._round and (error := self._round.exception()):
            logger.error("callbacks could not be delivered: %s", type(error).__name__)
        self._round = self._thread.submit(deliver_due)
