"""Counts failed log-ins in this process, per account and per address. Knows neither accounts nor requests."""

import threading
import time
from collections import deque
from collections.abc import Callable

#: Enough for a person who has forgotten, useless for a program that guesses.
MAX_FAILURES = 10
WINDOW_SECONDS = 15 * 60


class FailureCounter:
    """The failures of the last 15 minutes under each key; ten of them bar the key until the oldest has aged."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no failure; `clock` tells seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, deque[float]] = {}

    def barred_seconds(self, *keys: str) -> int:
        """Return for how many seconds the longest barred of `keys` stays so; 0 when none is."""
        with self._lock:
            self._forget_the_old()
            waits = [
                failures[-MAX_FAILURES] + WINDOW_SECONDS - self._clock()
                for key in keys
                if len(failures := self._failures.get(key, deque())) >= MAX_FAILURES
            ]
        return int(max(waits, default=-1.0)) + 1

    def count(self, *keys: str) -> None:
        """Record one failure under each of `keys`."""
        with self._lock:
            for key in keys:
                self._failures.setdefault(key, deque(maxlen=MAX_FAILURES)).append(self._clock())

    def forgive(self, key: str) -> None:
        """Forget the failures under a key."""
        with self._lock:
            self._failures.pop(key, None)

    def _forget_the_old(self) -> None:
        """Drop what has aged, so that the table stays as small as the last 15 minutes."""
        horizon = self._clock() - WINDOW_SECONDS
        for key, failures in list(self._failures.items()):
            while failures and failures[0] <= horizon:
                failures.popleft()
            if not failures:
                del self._failures[key]
