"""Metrics of a process's own work, for Prometheus. The dashboard reads the figures of the queue from SQL.

The child that does the work serves them itself; its parent would have to collect them from files of dead children.
"""

import logging
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram, start_http_server

logger = logging.getLogger(__name__)

#: Buckets of durations, in seconds: from one small film on an idle machine to the longest batch.
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
FILMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

#: Used as `@decoding.time()` on a function, or as `with decoding.time():`.
decoding = Histogram("thoraq_decode_seconds", "Reading and decoding one film.", buckets=SECONDS)
predicting = Histogram("thoraq_predict_seconds", "The network on one batch.", buckets=SECONDS)
recording = Histogram("thoraq_record_seconds", "Recording one batch, commit included.", buckets=SECONDS)
_BATCH = Histogram("thoraq_batch_films", "Films of one batch.", buckets=FILMS)
_SCORED = Counter("thoraq_films_scored", "Films recorded with a prediction by this process.")
_REJECTED = Counter("thoraq_films_rejected", "Films rejected by this process.", ["reason"])
_CRASHED = Counter("thoraq_films_crashed", "Films during which a decoder died, hung or failed.")
_SET_ASIDE = Counter("thoraq_messages_set_aside", "Messages that no process could run.", ["place", "flaw"])
_WAKEUPS = Counter("thoraq_wakeups", "Messages sent to wake another process.", ["task", "delivered"])
#: The name before version 0.1.0, exported until 0.2.0.
_BELLS = Counter("thoraq_bells", "Deprecated: use thoraq_wakeups_total.", ["task", "heard"])
_LOADED = Gauge("thoraq_loaded_model_info", "The model version that this process has loaded.", ["version", "device"])
_RECEIVED = Counter("thoraq_received", "Instances that arrived at a door.", ["door", "status", "kind"])
_ASSOCIATIONS = Counter("thoraq_associations", "Associations that were accepted or rejected.", ["verdict"])
#: What the receiver answered with success and has not brought into the ledger.
spool_files = Gauge("thoraq_spool_files", "Files in the spool.")
spool_bytes = Gauge("thoraq_spool_bytes", "Bytes in the spool.")


_EXPORTS = Counter("thoraq_exports", "Attempts to send a result.", ["destination", "verdict"])
exports_owed = Gauge("thoraq_exports_owed", "Results that are owed to destinations.")
destinations_resting = Gauge("thoraq_destinations_resting", "Destinations that failed last.", ["cause"])


def count_export(destination: str, verdict: str) -> None:
    """Count an attempt to send a result, and the verdict on its answer."""
    _EXPORTS.labels(destination, verdict).inc()


def count_received(door: str, status: str, *, is_film: bool) -> None:
    """Count an instance that arrived: at which door, with which answer, and whether it is a film."""
    _RECEIVED.labels(door, status, "film" if is_film else "other").inc()


def count_association(verdict: str) -> None:
    """Count an association that was accepted, or rejected for a reason."""
    _ASSOCIATIONS.labels(verdict).inc()


def count_batch(scored: int, reasons: Sequence[str], crashed: int = 0) -> None:
    """Count the outcomes of a batch: scored films, the reason of each rejected film, crashed films."""
    _BATCH.observe(scored + len(reasons) + crashed)
    _SCORED.inc(scored)
    _CRASHED.inc(crashed)
    for reason in reasons:
        _REJECTED.labels(reason).inc()


def count_wakeup(task: str, *, delivered: bool) -> None:
    """Count a message that was sent to wake another process, and whether the broker took it."""
    for counter in (_WAKEUPS, _BELLS):
        counter.labels(task, str(delivered).lower()).inc()


def count_set_aside(place: str, flaw: str) -> None:
    """Count a message that no process could run, by where it stood and what is wrong with it."""
    _SET_ASIDE.labels(place, flaw).inc()


def name_loaded_model(version: str, device: str) -> None:
    """Record the model version with which this process scores, and the device."""
    _LOADED.clear()
    _LOADED.labels(version, device).set(1)


def serve(host: str, port: int) -> None:
    """Serve the metrics from a thread of this process; if the port is in use, log a warning and go on without."""
    try:
        start_http_server(port, host)
    except OSError as error:
        logger.warning("no metrics on %s:%d: %s", host, port, error.strerror)
