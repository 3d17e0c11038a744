"""Memory that a process gives to large inputs at once; what is left over waits or comes back later."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Allowance:
    """A number of bytes that threads take and give back."""

    def __init__(self, total: int) -> None:
        """Nothing is taken yet."""
        self._total = self._left = total
        self._given_back = threading.Condition()

    @contextmanager
    def take(self, size: int, wait_seconds: float | None = None) -> Iterator[bool]:
        """Take bytes until the end of the block; yield whether they were there.

        Args:
            size: how many; more than there are in total are taken as all of them.
            wait_seconds: for how long to wait for bytes that others give back; None: for ever.
        """
        size = min(size, self._total)
        with self._given_back:
            taken = self._given_back.wait_for(lambda: size <= self._left, wait_seconds)
            self._left -= size * taken
        try:
            yield taken
        finally:
            with self._given_back:
                self._left += size * taken
                self._given_back.notify_all()


#: What one process gives to uploaded films and envelopes: enough for the largest film.
working_memory = Allowance(64 * 2**20)
