"""When a process counts as one that consumes nothing."""

from worker.monitoring.stuck_consumer import StallDetector


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self):
        return self.now


def test_only_who_takes_nothing_while_messages_wait_for_long_is_stalled():
    """Neither an idle process nor one at work on a long task is."""
    clock = Clock()
    detector = StallDetector(150, clock)

    clock.now = 10_000
    assert not detector.stalled(waiting=0)
    clock.now += 150
    assert not detector.stalled(waiting=3)
    clock.now += 1
    assert detector.stalled(waiting=3)


def test_who_takes_a_message_is_not_stalled():
    """However many wait behind it."""
    clock = Clock()
    detector = StallDetector(150, clock)

    clock.now = 140
    detector.on_task_received(request="a message")
    clock.now = 280

    assert not detector.stalled(waiting=100)
