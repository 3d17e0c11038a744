"""`thoraq sender`: sends results to archives. The only process that can open sealed identities."""

import logging
import os
import signal
import socket
import sys
import threading
import time
import uuid

import click
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy.exc import DBAPIError

from worker import database
from worker.celery_app import broker_url
from worker.database import is_outage, reading
from worker.errors import NotConfigured
from worker.hospital import exports
from worker.hospital.identity import read_certificate
from worker.hospital.object_header import uid_of
from worker.hospital.sending import Sender
from worker.hospital.unsealing import IdentityGone, read_key
from worker.monitoring.heartbeat_thread import HeartbeatThread
from worker.settings import Settings, settings
from worker.telemetry import logs, metrics

logger = logging.getLogger(__name__)

#: `Process.kind` of the sender.
KIND = "sender"
TURN_SECONDS = 1.0
#: How long the sender waits while the database does not answer, and the time between two countings for the metrics.
PAUSE_SECONDS, COUNT_SECONDS = 2.0, 10.0


@click.command()
def sender() -> None:
    """Start the process that sends results to the archives of THORAQ_DESTINATIONS. One is enough; two do no harm.

    Example: thoraq sender
    """
    chosen = settings()
    broker_url(chosen)  # Pictures ask workers for heat maps.
    made = _sender(chosen)
    logs.configure(chosen)
    database.check()
    if chosen.metrics_port:
        metrics.serve(chosen.metrics_host, chosen.metrics_port)
    logger.info("sending to %s", ", ".join(sorted(chosen.destinations)))
    _run(made)


def _sender(chosen: Settings) -> Sender:
    """Return what sends.

    Raises:
        NotConfigured: there is no destination, or the certificate or its key is missing.
    """
    if not chosen.destinations:
        raise NotConfigured("THORAQ_DESTINATIONS names no destination")
    if chosen.identity_certificate is None or chosen.identity_key is None:
        raise NotConfigured("THORAQ_IDENTITY_CERTIFICATE and THORAQ_IDENTITY_KEY are not both set")
    certificate = read_certificate(chosen.identity_certificate)
    opener = read_key(chosen.identity_key, certificate)
    # The installation is known by its certificate.
    installation = uuid.uuid5(uuid.NAMESPACE_OID, certificate.fingerprint(SHA256()).hex())
    return Sender(chosen, opener.open, IdentityGone, uid_of(installation, "device"))


def _run(made: Sender) -> None:
    """Send until a signal; the object that is being sent is finished."""
    signalled = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: signalled.set())
    heartbeat = HeartbeatThread(f"{KIND}-{os.getpid()}@{socket.gethostname()}", KIND, lambda: False)
    heartbeat.start()
    counted = 0.0
    while not signalled.wait(TURN_SECONDS):
        heartbeat.on_turn()
        try:
            made.send_due(heartbeat.on_turn, signalled.is_set)
            if time.monotonic() - counted > COUNT_SECONDS:
                counted = time.monotonic()
                _count()
        except DBAPIError as error:
            if not is_outage(error):
                raise
            logger.warning("the database does not answer: %s", type(error).__name__)
            signalled.wait(PAUSE_SECONDS)
    heartbeat.stop()
    sys.exit(0)


def _count() -> None:
    with reading() as session:
        metrics.exports_owed.set(exports.count_owed(session))
        resting = exports.pauses(session)
    for cause in (True, False):
        name = "set-up" if cause else "outage"
        metrics.destinations_resting.labels(name).set(sum(pause.misconfigured is cause for pause in resting))
