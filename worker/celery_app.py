"""The Celery application: broker settings, the names of tasks and queues, the schedule of beat.

Does not import tasks or Keras, so any process can import it to send a task by name.
"""

from typing import Any

from celery import Celery
from celery.schedules import crontab
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import parse_url

from worker.errors import NotConfigured
from worker.settings import Settings, settings

#: The task that any Celery client may send, with kwargs {"request": envelope}. Its name has the major version.
SCORE_REQUEST = "cxr.score.v1"
SCORE = "thoraq.score"
#: The values of these two are the task names of earlier versions, whose processes may still send them.
DRAW_HEAT_MAPS = "thoraq.explain"
DRAW_FULL_PICTURE = "thoraq.detail"
SWEEP = "thoraq.sweep"
#: Has an intake process store a message that no process could run.
SET_ASIDE = "thoraq.set_aside"
RETRAIN = "thoraq.retrain"
RETRAIN_NIGHTLY = "thoraq.retrain_nightly"

INTAKE_QUEUE = "intake"
#: Celery's default queue, which intake consumes too, for senders that do not name a queue.
DEFAULT_QUEUE = "celery"
SCORE_QUEUE = "score"
#: Heat maps and full-size pictures, for which readers wait. Workers take messages from it and from `score` in turns.
PICTURE_QUEUE = "pictures"
TRAIN_QUEUE = "train"
#: Where kombu puts messages that it cannot route, instead of dropping them; never consumed.
UNROUTABLE_QUEUE = "unroutable"

#: How long to wait for an answer from Redis; without a timeout, a dead connection would hang for ever.
SOCKET_TIMEOUT_SECONDS = 5


#: The schemes of a broker's URL, and the transport for each, which reads every message before kombu does.
SCHEMES = ("redis", "rediss")
TRANSPORT_ALIASES.update(dict.fromkeys(SCHEMES, "worker.broker.transport:Transport"))


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's configuration."""
    transport = {
        "visibility_timeout": settings.visibility_timeout_seconds,
        # Kombu looks for unacknowledged messages of dead workers every 5 s: the product of these two.
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
        # An error that Redis answers, such as "read only", ends a connection and no process.
        "broker_channel_error_retry": True,
        # Nobody uses Celery's remote control, by which whoever can reach the broker could stop a process.
        "worker_enable_remote_control": False,
        # A batch goes on while the broker is unreachable. Killing it would charge an attempt to films that are not at
        # fault, and the ledger makes it harmless that its message is delivered again.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_default_queue": DEFAULT_QUEUE,
        # Messages are acknowledged late, and delivered again when a child dies: the ledger makes that harmless and
        # counts attempts.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure_or_timeout": True,
        "worker_prefetch_multiplier": 1,
        "task_time_limit": settings.task_time_limit_seconds,
        # There is no soft limit: an exception raised inside the import of Keras would leave a child that cannot score.
        # After SIGQUIT, a task may use its budget, and as much time again for its last batch.
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
    """Return the broker's URL; in mode `test` a broker in memory.

    Raises:
        NotConfigured: no URL is set, or it is no URL of a Redis server. Celery would otherwise use a default URL, which
            may be another broker.
    """
    if settings.broker_url:
        url = settings.broker_url.get_secret_value()
        if not _is_redis(url):
            raise NotConfigured(
                "THORAQ_BROKER_URL is not the URL of a Redis server, such as redis://:password@host:6379/0"
            )
        return url
    if settings.mode == "test":
        return "memory://"
    raise NotConfigured("no broker is configured: set THORAQ_BROKER_URL, or start `thoraq demo`")


def _is_redis(url: str) -> bool:
    """Return whether a URL leads to Redis. The URL is shown nowhere, since it may have a password."""
    if not url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        return False
    try:
        database = str(parse_url(url)["virtual_host"] or "0").lstrip("/")
    except ValueError:  # such as a port that is no number
        return False
    return database.isdecimal()


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return which tasks the beat process sends, and when."""
    schedule: dict[str, dict[str, Any]] = {
        "sweep": {
            "task": SWEEP,
            "schedule": settings.sweep_seconds,
            # It has no time at which it expires: the clocks of beat's host and of intake's may differ.
            "options": {"queue": INTAKE_QUEUE},
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
