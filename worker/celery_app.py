"""The Celery application: broker settings, the names of tasks and queues, the schedule of beat.

Imports no task and no Keras: any process may import it to send by name.
"""

from typing import Any

from celery import Celery
from celery.schedules import crontab

from worker.errors import NotConfigured
from worker.settings import Settings, settings

#: The message that any Celery client may send: kwargs {"request": envelope}. The major version is in the name.
SCORE_REQUEST = "cxr.score.v1"
SCORE = "thoraq.score"
EXPLAIN = "thoraq.explain"
DETAIL = "thoraq.detail"
SWEEP = "thoraq.sweep"
RETRAIN = "thoraq.retrain"
RETRAIN_NIGHTLY = "thoraq.retrain_nightly"

INTAKE_QUEUE = "intake"
#: Celery's own default: a sender that names no queue reaches the intake too.
DEFAULT_QUEUE = "celery"
SCORE_QUEUE = "score"
#: What readers wait for: heat maps and pictures in full. Workers take from it and from `score` in turns.
PICTURE_QUEUE = "pictures"
TRAIN_QUEUE = "train"
#: Where kombu puts what it can route nowhere, instead of dropping it; never consumed.
UNROUTABLE_QUEUE = "unroutable"

#: Seconds until a silent Redis counts as an outage; without it a black-holed connection hangs for good.
SOCKET_TIMEOUT_SECONDS = 5


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's configuration; the reasons stand beside the values."""
    transport = {
        "visibility_timeout": settings.visibility_timeout_seconds,
        # How often unacknowledged messages of dead workers are looked for: every pass, a second apart.
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        "retry_on_timeout": True,
        "health_check_interval": 25,
        "deadletter_queue": UNROUTABLE_QUEUE,
    }
    return {
        "broker_url": broker_url(settings),
        "broker_transport_options": transport,
        "visibility_timeout": settings.visibility_timeout_seconds,
        "broker_connection_retry_on_startup": True,
        # A batch goes on while the broker is away: the ledger makes its redelivery harmless, and killing it charges
        # an attempt to films that did nothing.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_default_queue": DEFAULT_QUEUE,
        # Late, and again when the child dies: the ledger makes every redelivery harmless and counts the attempts.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure_or_timeout": True,
        "worker_prefetch_multiplier": 1,
        "task_time_limit": settings.task_time_limit_seconds,
        # No soft limit: an exception thrown into the import of Keras leaves a child that can never score again.
        # SIGQUIT: a task's budget, and as much again for its last batch, before it is cut off and put back.
        "worker_soft_shutdown_timeout": 2 * settings.task_budget_seconds,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
        "worker_redirect_stdouts": False,
        "timezone": settings.timezone,
        "enable_utc": True,
        "beat_schedule": beat_schedule(settings),
        "beat_schedule_filename": str(settings.data_dir / "beat-schedule"),
        "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    }


def broker_url(settings: Settings) -> str:
    """Return the broker's URL; tests have one in memory.

    Raises:
        NotConfigured: none is set. Celery's own default would silently be another broker on this machine.
    """
    if settings.broker_url:
        return settings.broker_url.get_secret_value()
    if settings.mode == "test":
        return "memory://"
    raise NotConfigured("there is no broker: set THORAQ_BROKER_URL, or start `thoraq demo`")


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return which tasks the beat process sends, and when."""
    schedule: dict[str, dict[str, Any]] = {
        "sweep": {
            "task": SWEEP,
            "schedule": settings.sweep_seconds,
            # A sweep that waited longer than its period is superseded by the next.
            "options": {"queue": INTAKE_QUEUE, "expires": settings.sweep_seconds},
        }
    }
    if settings.nightly_at:
        hour, minute = settings.nightly_at.split(":")
        schedule["retrain nightly"] = {
            "task": RETRAIN_NIGHTLY,
            "schedule": crontab(hour=hour, minute=minute),
            "options": {"queue": INTAKE_QUEUE},
        }
    return schedule


app = Celery("thoraq")
app.add_defaults(lambda: configuration(settings()))
