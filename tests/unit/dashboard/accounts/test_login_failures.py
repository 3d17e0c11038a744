"""The counter of failed log-ins, by a clock that the test turns."""

from dashboard.accounts.login_failures import MAX_FAILURES, WINDOW_SECONDS, FailureCounter


def counter() -> tuple[FailureCounter, list[float]]:
    """Return a counter and the hand of its clock."""
    clock = [1000.0]
    return FailureCounter(lambda: clock[0]), clock


def test_nine_failures_bar_nobody():
    """One more is needed."""
    failures, _ = counter()

    for _ in range(MAX_FAILURES - 1):
        failures.count("a")

    assert 0 == failures.barred_seconds("a")


def test_ten_failures_bar_the_key_until_the_oldest_has_aged():
    """The wait shrinks as time passes."""
    failures, clock = counter()
    for _ in range(MAX_FAILURES):
        failures.count("a")
        clock[0] += 10

    assert WINDOW_SECONDS - 100 < failures.barred_seconds("a", "b") <= WINDOW_SECONDS - 100 + 1
    clock[0] += WINDOW_SECONDS - 100
    assert 0 == failures.barred_seconds("a", "b")


def test_other_keys_are_not_barred():
    """One account's failures are not another's."""
    failures, _ = counter()
    for _ in range(MAX_FAILURES):
        failures.count("a")

    assert 0 == failures.barred_seconds("b")


def test_forgiving_starts_anew():
    """A right password wipes an account's failures."""
    failures, _ = counter()
    for _ in range(MAX_FAILURES):
        failures.count("a")

    failures.forgive("a")

    assert 0 == failures.barred_seconds("a")


def test_what_has_aged_takes_no_memory():
    """A flood of names is gone after the window."""
    failures, clock = counter()
    for number in range(1000):
        failures.count(str(number))

    clock[0] += WINDOW_SECONDS + 1
    failures.barred_seconds("x")

    assert {} == failures._failures
