"""The content of log lines, and what never appears in them."""

import io
import json
import logging

import pytest
from celery import signals

from worker.settings import Settings
from worker.telemetry import logs


@pytest.fixture
def lines():
    """A function that returns a logger with a format, and a function that returns its lines."""
    loggers = []

    def collect(form: str):
        written = io.StringIO()
        handler = logging.StreamHandler(written)
        handler.setFormatter(logs.formatter(Settings(log_format=form)))
        handler.addFilter(logs.Correlation())
        logger = logging.getLogger(f"test.{form}")
        logger.addHandler(handler)
        loggers.append((logger, handler))
        return logger, lambda: written.getvalue().splitlines()

    yield collect
    for logger, handler in loggers:
        logger.removeHandler(handler)


def test_a_line_for_a_collector_is_one_json_object(lines):
    """It has time, level, logger, process and message."""
    logger, written = lines("json")

    logger.warning("a batch\nof %d", 3)

    (line,) = map(json.loads, written())
    assert {"time", "level", "logger", "process", "message"} == set(line)
    assert ("WARNING", "test.json", "a batch\nof 3") == (line["level"], line["logger"], line["message"])


def test_a_line_has_the_id_of_the_current_task(lines):
    """Between two tasks there is none."""
    for form in ("json", "text"):
        logger, written = lines(form)
        signals.task_prerun.send(sender=None, task_id="0f-1")
        logger.warning("in it")
        signals.task_postrun.send(sender=None, task_id="0f-1")
        logger.warning("after it")

        assert ["0f-1" in line for line in written()] == [True, False]


def test_fields_that_libraries_add_to_a_record_are_left_out(lines):
    """Celery adds the arguments and results of a task."""
    logger, written = lines("json")

    logger.warning("done", extra={"data": {"kwargs": "DOE^JOHN"}, "submission_id": "5e"})

    assert "DOE" not in written()[0]
    assert "5e" == json.loads(written()[0])["submission_id"]
