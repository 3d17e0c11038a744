"""Recovers abandoned work: returns images whose lease expired and re-sends lost wake-ups."""

import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session
from tenacity import RetryError, retry, retry_if_exception, stop_after_delay, wait_exponential

from worker import wakeups
from worker.database import is_outage, now, through_outages, transaction
from worker.models import retraining_runs
from worker.monitoring import drift_by_day, heartbeats
from worker.scoring import heat_map_requests
from worker.settings import settings
from worker.studies import claim_order, ledger

logger = logging.getLogger(__name__)

#: A sweep that is later than this was kept from its work. As long as a task waits for the database: a shorter outage
#: ends no task.
OUTAGE_SECONDS = 60


@through_outages
def sweep() -> None:
    """Return abandoned images, wake processes for what waits, check retraining runs, look for drift in past days."""
    with transaction() as session:
        _refund_outages(session)
        ended = ledger.expire_leases(session)
        waiting = claim_order.any_waiting(session)
        asked = heat_map_requests.any_requested(session)
        heartbeats.delete_silent(session)
    if ended:
        logger.warning("%d leases had ended; their films wait again", ended)
    if waiting:
        wakeups.wake_scorers(settings().batch_size, settings().batch_size)
    if asked:
        wakeups.wake_for_heat_maps()
    retraining_runs.sweep()
    drift_by_day.check_past_days(datetime.now(ZoneInfo(settings().timezone)).date())


def _refund_outages(session: Session) -> None:
    """Charge no film for a time in which nobody could reach the database: no sweep could either, which tells."""
    last = heartbeats.last_sweep(session)
    if last is None or now() - last < timedelta(seconds=settings().sweep_seconds + OUTAGE_SECONDS):
        return
    if refunded := ledger.refund_attempts(session):
        logger.warning("no sweep since %s; %d films under a lease are not charged", last.isoformat(), refunded)


def return_uncharged(owner: str) -> None:
    """Give the films of a task back that could not record them, as soon as the database answers.

    It is tried until their leases would have ended anyway.
    """
    again = retry(
        retry=retry_if_exception(is_outage),
        wait=wait_exponential(multiplier=0.5, max=5),
        stop=stop_after_delay(settings().lease_seconds),
    )
    try:
        returned = again(_return_uncharged)(owner)
    except RetryError:
        logger.warning("the database is still out; the sweeper takes care of the films of a task")
    else:
        logger.warning("an outage ended a task; its %d films wait again, uncharged", returned)


def _return_uncharged(owner: str) -> int:
    with transaction() as session:
        return ledger.return_uncharged(session, owner)
