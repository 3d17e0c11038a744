"""When a process counts as one that has stopped taking messages."""

from worker.monitoring.stuck_consumer import StallDetector


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


def test_a_process_is_stalled_when_messages_wait_for_long_and_it_takes_none():
    """An idle process is not, and neither is one that runs a long task."""
    clock = Clock()
    detector = StallDetector(150, clock)

    clock.now = 10_000
    assert not detector.stalled(waiting=0)
    clock.now += 150
    assert not detector.stalled(waiting=3)
    clock.now += 1
    assert detector.stalled(waiting=3)


def test_who_takes_a_message_is_not_stalled():
    """Even when many more wait."""
    clock = Clock()
    detector = StallDetector(150, clock)

    clock.now = 140
    detector.on_task_received(request="a message")
    clock.now = 280

    assert not detector.stalled(waiting=100)
