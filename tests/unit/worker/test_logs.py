"""What a line of the log holds, and what it never holds."""

import io
import json
import logging

import pytest
from celery import signals

from worker import logs
from worker.settings import Settings


@pytest.fixture
def lines():
    """A logger whose lines are collected in the form that is set, with the process's correlation."""
    made = []

    def collect(form: str):
        written = io.StringIO()
        handler = logging.StreamHandler(written)
        handler.setFormatter(logs.formatter(Settings(log_format=form)))
        handler.addFilter(logs.Correlation())
        logger = logging.getLogger(f"test.{form}")
        logger.addHandler(handler)
        made.append((logger, handler))
        return logger, lambda: written.getvalue().splitlines()

    yield collect
    for logger, handler in made:
        logger.removeHandler(handler)


def test_a_line_for_a_collector_is_one_json_object(lines):
    """With the moment, the level, who says it and what."""
    logger, written = lines("json")

    logger.warning("a batch\nof %d", 3)

    (line,) = map(json.loads, written())
    assert {"time", "level", "logger", "process", "message"} == set(line)
    assert ("WARNING", "test.json", "a batch\nof 3") == (line["level"], line["logger"], line["message"])


def test_a_line_names_the_task_that_this_process_carries_out(lines):
    """And none between two tasks."""
    for form in ("json", "text"):
        logger, written = lines(form)
        signals.task_prerun.send(sender=None, task_id="0f-1")
        logger.warning("in it")
        signals.task_postrun.send(sender=None, task_id="0f-1")
        logger.warning("after it")

        assert ["0f-1" in line for line in written()] == [True, False]


def test_what_libraries_attach_to_a_record_stays_outside(lines):
    """Celery attaches a task's arguments and results."""
    logger, written = lines("json")

    logger.warning("done", extra={"data": {"kwargs": "DOE^JOHN"}, "submission_id": "5e"})

    assert "DOE" not in written()[0]
    assert "5e" == json.loads(written()[0])["submission_id"]
