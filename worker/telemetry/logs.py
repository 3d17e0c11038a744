"""Configures logging: text for a person, or JSON lines for a collector. No line identifies a patient or a study.

Lines refer to films by the ids of the task and of the submission, which mean nothing outside Thoraq.
"""

import logging
from typing import Any

from celery import signals
from pythonjsonlogger.json import JsonFormatter

from worker.settings import Settings

TEXT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s%(correlation)s"
#: The only fields of a JSON line. Libraries add others to their records, such as the arguments of Celery's tasks.
FIELDS = ("time", "level", "logger", "process", "message", "task_id", "submission_id", "exc_info")


class Correlation(logging.Filter):
    """Adds the id of the current task to every line, whichever thread writes it.

    A pool child runs one task at a time, so the id holds for its other threads, which Celery does not set up.
    """

    def __init__(self) -> None:
        """Connect to the signals for the start and the end of a task."""
        super().__init__()
        self._task_id: str | None = None
        signals.task_prerun.connect(self._begin)
        signals.task_postrun.connect(self._end)

    def _begin(self, task_id: str | None = None, **_arguments: Any) -> None:  # noqa: ANN401
        self._task_id = task_id

    def _end(self, **_arguments: Any) -> None:  # noqa: ANN401
        self._task_id = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the task's id; accept every record."""
        if self._task_id:
            record.task_id = self._task_id
        record.correlation = f" [task {self._task_id}]" if self._task_id else ""
        return True


def configure(settings: Settings) -> None:
    """Log to stderr in the configured format, level INFO and above."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings))
    handler.addFilter(Correlation())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)  # noqa: FBT003 - the signature of logging
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_without_bodies)


class JsonLines(JsonFormatter):
    """Writes one JSON object a line, with the fields in `FIELDS` only."""

    def __init__(self) -> None:
        """Rename the fields of logging to those that collectors expect."""
        names = {"levelname": "level", "name": "logger"}
        super().__init__(["levelname", "name", "process", "message"], rename_fields=names, timestamp="time")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Drop every field that is not in `FIELDS`."""
        return {name: log_data[name] for name in FIELDS if name in log_data}


def formatter(settings: Settings) -> logging.Formatter:
    """Return the formatter of the configured format."""
    return logging.Formatter(TEXT) if settings.log_format == "text" else JsonLines()


def _without_bodies(record: logging.LogRecord) -> bool:
    """Replace Celery's log line about a discarded message: it has the body, which may hold identifiers."""
    if record.levelno >= logging.WARNING and "body" in str(record.msg):
        record.msg = "a message was discarded: its task does not exist or its body is unreadable"
        record.args, record.exc_info = (), None
    return True
