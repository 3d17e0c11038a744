"""Memory that threads take and give back."""

import threading

from worker.inputs.allowance import Allowance


def test_what_is_taken_is_there_again_afterwards():
    """An error in the block gives it back, too."""
    allowance = Allowance(10)

    with allowance.take(6) as first, allowance.take(6, wait_seconds=0) as second, allowance.take(4, 0) as third:
        assert (True, False, True) == (first, second, third)
    with allowance.take(10, wait_seconds=0) as everything:
        assert everything


def test_more_than_there_is_means_all_of_it():
    """The largest input gets its turn when it is alone."""
    allowance = Allowance(10)

    with allowance.take(1000, 0) as alone, allowance.take(1, 0) as beside:
        assert (True, False) == (alone, beside)


def test_a_thread_waits_until_another_gives_back():
    """It is not refused."""
    allowance = Allowance(10)
    began, taken = threading.Event(), []

    def wait():
        began.set()
        with allowance.take(10) as got:
            taken.append(got)

    with allowance.take(5):
        thread = threading.Thread(target=wait)
        thread.start()
        assert began.wait(10)
        assert [] == taken
    thread.join(30)

    assert [True] == taken
