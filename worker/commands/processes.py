"""`thoraq worker`, `intake`, `beat` and `alive`. Also runs the Celery worker of `thoraq trainer`."""

import importlib
import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

import click
from celery import signals

from worker import database, wakeups
from worker.celery_app import DEFAULT_QUEUE, INTAKE_QUEUE, PICTURE_QUEUE, SCORE_QUEUE, app, broker_url
from worker.commands.console import database_errors
from worker.commands.stoppable_beat import StoppableBeat
from worker.database import forget_parent_connections, reading
from worker.monitoring import heartbeats, stuck_consumer
from worker.monitoring.heartbeat_thread import HeartbeatThread
from worker.settings import settings
from worker.studies import claim_order
from worker.telemetry import logs, metrics

logger = logging.getLogger(__name__)

#: `Process.kind` of the processes that score.
SCORER = "worker"


@click.command()
def worker() -> None:
    """Start a scoring worker, whose one child loads the network. Start one for each GPU.

    Example: thoraq worker
    """
    # The first wake-up makes the child load the network and score what waited while no worker ran.
    signals.worker_ready.connect(lambda **_: wakeups.wake_scorers(1, 1), weak=False)
    run_celery_worker([PICTURE_QUEUE, SCORE_QUEUE], SCORER, ["worker.tasks.scoring"])


@click.command()
def intake() -> None:
    """Start the process that accepts messages and sweeps. It does not load a network.

    Example: thoraq intake
    """
    stuck_consumer.start([INTAKE_QUEUE, DEFAULT_QUEUE], settings())
    run_celery_worker([INTAKE_QUEUE, DEFAULT_QUEUE], "intake", ["worker.tasks.intake"])


@click.command()
def beat() -> None:
    """Start the process that sends periodic tasks: sweep and nightly retraining. Two of them do no harm.

    Example: thoraq beat
    """
    _prepare()
    StoppableBeat(app=app, loglevel="INFO", quiet=True).run()


@click.command()
@click.argument("kind", type=click.Choice(["intake", "worker", "trainer", "beat", "receiver", "sender"]))
def alive(kind: str) -> None:
    """Fail unless a process of this kind has a recent heartbeat on this host; for health checks.

    A worker is alive while it finishes work, or while none waits. Beat is alive while the sweeps that it sends are
    done, on any host.

    Example: thoraq alive worker
    """
    with database_errors(), reading() as session:
        found = (
            heartbeats.sweeping(session) if kind == "beat" else heartbeats.alive(session, kind, socket.gethostname())
        )
    if not found:
        raise click.ClickException(f"there is no recent heartbeat of a {kind}")


def run_celery_worker(queues: Sequence[str], kind: str, imports: Sequence[str]) -> None:
    """Run a Celery worker with one prefork child until a signal stops it.

    The child does the work, and a crash ends only the child. The parent handles signals and time limits.

    Raises:
        click.ClickException: it stopped without a signal.
    """
    stop_signals: list[object] = []
    signals.worker_shutting_down.connect(lambda **signal: stop_signals.append(signal), weak=False)
    _prepare()
    database.check()
    for module in imports:  # Here, so that a missing library is an error of this command.
        importlib.import_module(module)
    name = f"{kind}-{os.getpid()}@{socket.gethostname()}"
    _send_heartbeats(name, kind)
    # Celery prints a banner that a log collector cannot parse.
    quiet = ["--quiet"] if settings().log_format == "json" else []
    app.worker_main(
        [*quiet, "worker", "-n", name, "-Q", ",".join(queues), "-P", "prefork", "-c", "1",
         "--without-gossip", "--without-mingle", "-l", "INFO"]
    )  # fmt: skip
    if not stop_signals:  # Celery exits with 0 after an error from which it cannot recover.
        raise click.ClickException(f"the {kind} stopped by itself")


def _prepare() -> None:
    """Check the broker setting, create the data directory, and configure logging and signals."""
    broker_url(settings())
    settings().data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    logs.configure(settings())
    signals.worker_process_init.connect(_begin_child)


def _begin_child(**_arguments: Any) -> None:  # noqa: ANN401
    """Drop inherited connections, which two processes must not share, and serve metrics if configured."""
    forget_parent_connections()
    if settings().metrics_port:
        metrics.serve(settings().metrics_host, settings().metrics_port)


def _films_wait() -> bool:
    with reading() as session:
        return claim_order.any_waiting(session)


def _send_heartbeats(name: str, kind: str) -> None:
    """Store the parent's heartbeat every few seconds while Celery's loop turns."""
    thread = HeartbeatThread(name, kind, _films_wait if kind == SCORER else lambda: False)
    signals.worker_ready.connect(thread.start, weak=False)
    signals.heartbeat_sent.connect(thread.on_turn, weak=False)
    signals.worker_shutdown.connect(thread.stop, weak=False)
