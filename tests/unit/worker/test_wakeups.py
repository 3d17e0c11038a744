"""Bells: few, bounded, and never worth waiting for."""

import pytest

from worker import wakeups
from worker.celery_app import SCORE_QUEUE, app


@pytest.fixture
def broker(data_dir):
    """A broker in memory, its queue empty."""
    with app.connection_or_acquire() as connection:
        channel = connection.default_channel
        channel.queue_declare(queue=SCORE_QUEUE)
        channel.queue_purge(SCORE_QUEUE)
        yield channel
        channel.queue_purge(SCORE_QUEUE)


def test_a_submission_rings_once_a_batch_and_at_most_eight_times(broker):
    """One task goes on while films wait; more let other workers help."""
    wakeups.ring_scorers(33, 32)
    assert 2 == wakeups._unanswered(SCORE_QUEUE)

    wakeups.ring_scorers(10_000, 32)
    assert 10 == wakeups._unanswered(SCORE_QUEUE)


def test_however_much_is_submitted_while_no_worker_answers_the_broker_holds_a_few_bells(broker):
    """A flood cannot fill Redis."""
    for _ in range(1_000):
        assert wakeups.ring_scorers(1, 32)

    assert wakeups.MAX_UNANSWERED == wakeups._unanswered(SCORE_QUEUE)


def test_where_nobody_has_rung_yet_no_bell_is_unanswered(broker):
    """Redis knows no empty list."""
    broker.queue_delete(SCORE_QUEUE)

    assert 0 == wakeups._unanswered(SCORE_QUEUE)
