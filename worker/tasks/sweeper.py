"""Recovers abandoned work: returns images whose lease expired and re-sends lost wake-ups."""

import logging
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session
from tenacity import RetryError, retry, retry_if_exception, stop_after_delay, wait_exponential

from worker import wakeups
from worker.database import is_outage, now, reading, through_outages, transaction
from worker.models import retraining_runs
from worker.monitoring import drift_by_day, heartbeats
from worker.scoring import heat_map_requests
from worker.settings import settings
from worker.studies import claim_order, ledger

logger = logging.getLogger(__name__)

#: A sweep that is later than this counts as held up by an outage. A task retries its transactions for as long, so that
#: a shorter outage ends no task.
OUTAGE_SECONDS = 60


@through_outages
def sweep() -> None:
    """Return abandoned images, wake processes for waiting work, check retraining runs, look for drift in past days."""
    with transaction() as session:
        _refund_outages(session)
        expired = ledger.expire_leases(session)
        films_wait = claim_order.any_waiting(session)
        heat_maps_wait = heat_map_requests.any_requested(session)
        heartbeats.delete_silent(session)
    if expired:
        logger.warning("%d leases expired; their films wait again", expired)
    if films_wait:
        wakeups.wake_scorers(settings().batch_size, settings().batch_size)
    if heat_maps_wait:
        wakeups.wake_for_heat_maps()
    retraining_runs.sweep()
    drift_by_day.check_past_days(now().astimezone(ZoneInfo(settings().timezone)).date())


@through_outages
def just_swept() -> bool:
    """Return whether the last sweep ended less than half a period ago; many sweeps may have waited for an intake."""
    with reading() as session:
        last = heartbeats.last_sweep(session)
    return last is not None and now() - last < timedelta(seconds=settings().sweep_seconds / 2)


def _refund_outages(session: Session) -> None:
    """After an outage of the database, give films under a lease their attempt back.

    The outage shows in the time of the last sweep, since no sweep could be done either.
    """
    last = heartbeats.last_sweep(session)
    if last is None or now() - last < timedelta(seconds=settings().sweep_seconds + OUTAGE_SECONDS):
        return
    heartbeats.note_sweep(session)  # In the same transaction, so that a repeated sweep does not refund again.
    if refunded := ledger.refund_attempts(session):
        logger.warning("no sweep since %s; %d films under a lease get their attempt back", last.isoformat(), refunded)


def return_uncharged(owner: str) -> None:
    """Return the films of a task that could not record them, uncharged, as soon as the database answers.

    This is tried until their leases would have expired anyway.
    """
    again = retry(
        retry=retry_if_exception(is_outage),
        wait=wait_exponential(multiplier=0.5, max=5),
        stop=stop_after_delay(settings().lease_seconds),
    )
    try:
        returned = again(_return_uncharged)(owner)
    except RetryError:
        logger.warning("the database is still out; the films of a task wait for their leases to expire")
    else:
        logger.warning("an outage ended a task; its %d films wait again, uncharged", returned)


def _return_uncharged(owner: str) -> int:
    with transaction() as session:
        return ledger.return_uncharged(session, owner)
