"""Finds what was left lying: leases that ended, bells that nobody heard. It only puts back and rings again."""

import logging

from worker import doorbell, explanations, ledger, presence, retraining
from worker.database import through_outages, transaction
from worker.settings import settings

logger = logging.getLogger(__name__)


@through_outages
def sweep() -> None:
    """Put abandoned images back, ring where something waits, and look after retraining runs."""
    with transaction() as session:
        ended = ledger.expire(session)
        waiting = ledger.any_waiting(session)
        asked = explanations.any_asked(session)
        presence.forget_the_silent(session)
    if ended:
        logger.warning("%d leases had ended; their films wait again", ended)
    if waiting:
        doorbell.ring_scorers(settings().batch_size, settings().batch_size)
    if asked:
        doorbell.ring_explainer()
    retraining.sweep()
