"""Wake-ups: few, bounded, and sent without waiting for an unreachable broker."""

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


def test_a_submission_sends_a_wakeup_a_batch_and_at_most_eight_times(broker):
    """One task goes on while films wait; more let other workers help."""
    wakeups.wake_scorers(33, 32)
    assert 2 == wakeups._pending(SCORE_QUEUE)

    wakeups.wake_scorers(10_000, 32)
    assert 10 == wakeups._pending(SCORE_QUEUE)


def test_the_broker_holds_a_few_wakeups_however_much_is_submitted_while_no_worker_answers(broker):
    """Many submissions cannot fill Redis."""
    for _ in range(1_000):
        assert wakeups.wake_scorers(1, 32)

    assert wakeups.MAX_PENDING == wakeups._pending(SCORE_QUEUE)


def test_a_queue_that_was_never_used_has_no_pending_wakeup(broker):
    """Redis has no empty lists, so the queue does not exist."""
    broker.queue_delete(SCORE_QUEUE)

    assert 0 == wakeups._pending(SCORE_QUEUE)
