"""`thoraq receiver`: takes films from PACS and modalities."""

import logging
import os
import signal
import socket
import ssl
import sys
import threading

import click

from worker import database
from worker.celery_app import broker_url
from worker.errors import NotConfigured
from worker.hospital.associations import Associations
from worker.hospital.identity import read_certificate, read_site_key
from worker.hospital.listener import Limits
from worker.hospital.porter import Porter
from worker.hospital.reception import Reception
from worker.hospital.spool import Spool
from worker.monitoring.heartbeat_thread import HeartbeatThread
from worker.settings import Settings, settings
from worker.telemetry import logs, metrics

logger = logging.getLogger(__name__)

#: `Process.kind` of the receiver.
KIND = "receiver"
#: How long associations may go on after a signal. Then they are aborted, and their senders repeat what had no answer.
STOP_SECONDS = 10
#: What an instance may have beside the bytes of a film.
MESSAGE_BYTES = 2**20


@click.command()
def receiver() -> None:
    """Start the process that takes films by C-STORE at the doors of THORAQ_DOORS. It needs no network of the models.

    Example: thoraq receiver
    """
    chosen = settings()
    broker_url(chosen)
    reception, spool = _reception(chosen)
    logs.configure(chosen)
    threading.excepthook = _log_type_alone
    database.check()
    limits = Limits(chosen.receiver_per_address, chosen.receiver_pdu_bytes, chosen.max_file_bytes + MESSAGE_BYTES)
    associations = Associations(chosen.doors, reception, spool, most=chosen.receiver_associations, limits=limits)
    try:
        port = associations.start(chosen.receiver_host, chosen.receiver_port, _tls(chosen))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen at {chosen.receiver_host}:{chosen.receiver_port}: {error.strerror}"
        ) from error
    logger.info("listening at %s:%d for %s", chosen.receiver_host, port, ", ".join(sorted(chosen.doors)))
    if chosen.metrics_port:
        metrics.serve(chosen.metrics_host, chosen.metrics_port)
    _run(associations, Porter(spool, chosen.doors, chosen, associations.carrying))


def _reception(chosen: Settings) -> tuple[Reception, Spool]:
    """Return what receives instances.

    Raises:
        NotConfigured: there is no door, or a key is missing or cannot be read.
    """
    if not chosen.doors:
        raise NotConfigured("THORAQ_DOORS names no door")
    if chosen.pseudonym_key is None:
        raise NotConfigured("THORAQ_PSEUDONYM_KEY is not set; it names the file of the key of the pseudonyms")
    if chosen.identity_certificate is None and any(door.results for door in chosen.doors.values()):
        raise NotConfigured("THORAQ_IDENTITY_CERTIFICATE is not set, and a door owes results, which need identities")
    certificate = read_certificate(chosen.identity_certificate) if chosen.identity_certificate else None
    spool = Spool(
        chosen.spool_dir, reserve_bytes=chosen.receiver_reserve_bytes, limit_bytes=chosen.receiver_spool_bytes
    )
    site_key = read_site_key(chosen.pseudonym_key)
    return Reception(spool, site_key=site_key, certificate=certificate, max_bytes=chosen.max_file_bytes), spool


def _tls(chosen: Settings) -> ssl.SSLContext | None:
    """Return how connections are encrypted (BCP 195), None if they are not.

    Raises:
        NotConfigured: a file cannot be read.
    """
    if chosen.receiver_tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(chosen.receiver_tls_certificate, chosen.receiver_tls_key)
        if chosen.receiver_tls_authorities:
            context.load_verify_locations(chosen.receiver_tls_authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise NotConfigured("THORAQ_RECEIVER_TLS_*: a certificate or key cannot be read") from error
    return context


def _run(associations: Associations, porter: Porter) -> None:
    """Work until a signal; then let associations end, and bring the spool into the ledger once more.

    Raises:
        click.ClickException: the porter ended by itself.
    """
    signalled, stopped = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: signalled.set())
    heartbeat = HeartbeatThread(f"{KIND}-{os.getpid()}@{socket.gethostname()}", KIND, lambda: False)
    heartbeat.start()
    thread = threading.Thread(target=porter.run, args=(stopped, heartbeat.on_turn), name="porter", daemon=True)
    thread.start()
    while thread.is_alive() and not signalled.wait(1):
        pass
    associations.stop(STOP_SECONDS)
    stopped.set()
    thread.join(STOP_SECONDS)
    heartbeat.stop()
    if not signalled.is_set():
        raise click.ClickException("the porter of the spool ended by itself")
    sys.exit(0)


def _log_type_alone(failure: threading.ExceptHookArgs) -> None:
    """Log an error of a thread without its message and traceback, which may quote a film."""
    logger.error("a thread failed: %s", failure.exc_type.__name__)
