"""The form of log lines: text for a person, JSON lines for a collector. No line names a patient or a study.

What happened to which films is told by ids that mean nothing outside: of the task, of the submission.
"""

import logging
from typing import Any

from celery import signals
from pythonjsonlogger.json import JsonFormatter

from worker.settings import Settings

TEXT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s%(correlation)s"
#: The only fields of a line in JSON. Libraries attach more to their records: Celery, a task's arguments and results.
FIELDS = ("time", "level", "logger", "process", "message", "task_id", "submission_id", "exc_info")


class Correlation(logging.Filter):
    """Adds the id of the task that this process carries out to every line, whichever thread writes it.

    A pool child carries out one task at a time, and its other threads are told nothing of Celery.
    """

    def __init__(self) -> None:
        """Follow the process's tasks."""
        super().__init__()
        self._task_id: str | None = None
        signals.task_prerun.connect(self._begin)
        signals.task_postrun.connect(self._end)

    def _begin(self, task_id: str | None = None, **_arguments: Any) -> None:  # noqa: ANN401
        self._task_id = task_id

    def _end(self, **_arguments: Any) -> None:  # noqa: ANN401
        self._task_id = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids; let every record pass."""
        if self._task_id:
            record.task_id = self._task_id
        record.correlation = f" [task {self._task_id}]" if self._task_id else ""
        return True


def configure(settings: Settings) -> None:
    """Send this process's log to stderr in the form that is set, INFO and above."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings))
    handler.addFilter(Correlation())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)  # noqa: FBT003 - the library's signature
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_without_bodies)


class JsonLines(JsonFormatter):
    """One JSON object a line, with the fields named above and no other."""

    def __init__(self) -> None:
        """Name the fields as collectors expect them."""
        names = {"levelname": "level", "name": "logger"}
        super().__init__(["levelname", "name", "process", "message"], rename_fields=names, timestamp="time")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Drop every field that is not ours."""
        return {name: log_data[name] for name in FIELDS if name in log_data}


def formatter(settings: Settings) -> logging.Formatter:
    """Return the formatter of the form that is set."""
    return logging.Formatter(TEXT) if settings.log_format == "text" else JsonLines()


def _without_bodies(record: logging.LogRecord) -> bool:
    """Replace what Celery logs of a message that it discards: the body, which may hold identifiers."""
    if record.levelno >= logging.WARNING and "body" in str(record.msg):
        record.msg = "a message was discarded: no such task, or no readable body"
        record.args, record.exc_info = (), None
    return True
