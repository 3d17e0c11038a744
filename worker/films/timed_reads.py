"""Reads files with a time limit: when a file system does not answer, the film waits, and the process goes on.

A thread that hangs in the kernel can be neither interrupted nor killed. It is left behind, and its folder is not read
for a while.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NoReturn, TypeVar

from worker.errors import TryAgainLater

#: A film of 64 MB over a slow network takes less, and several such waits fit into the time limit of a task.
READ_SECONDS = 20
#: For how long a folder in which a read hangs is not read again.
REST_SECONDS = 60
#: How many threads of one process may hang in one folder; after that, it is not read until one of them returns.
MAX_HANGING = 8
MAX_THREADS = 128

Result = TypeVar("Result")


class TimedReader:
    """Threads that read, and which of them hang in which folder."""

    def __init__(self, seconds: float) -> None:
        """Wait at most `seconds` for one read."""
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="read")
        self._hanging: dict[str, list[tuple[float, Future[Any]]]] = {}

    def run(self, folder: str, read: Callable[[], Result]) -> Result:
        """Return what `read` returns, or raise what it raises.

        Raises:
            TryAgainLater: it takes too long, or an earlier read of the same folder still hangs.
        """
        return self.begin(folder, read)()

    def begin(self, folder: str, read: Callable[[], Result]) -> Callable[[], Result]:
        """Start to read; return a function that waits for the end and then returns or raises as `run` does."""
        if self._rests(folder):
            return partial(_refuse, f"the root {folder} does not answer")
        try:
            reading = self._threads.submit(read)
        except RuntimeError:
            return partial(_refuse, "the host starts no more threads")
        return partial(self._result, folder, reading, time.monotonic() + self._seconds)

    def _result(self, folder: str, future: Future[Result], deadline: float) -> Result:
        try:
            return future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            if future.done():  # The read itself raised TimeoutError: the file system did answer.
                raise
            self._hanging.setdefault(folder, []).append((time.monotonic(), future))
            raise TryAgainLater(f"the root {folder} did not answer within {self._seconds:g} s") from None

    def _rests(self, folder: str) -> bool:
        if folder not in self._hanging:
            return False
        hanging = [(since, future) for since, future in self._hanging[folder] if not future.done()]
        self._hanging[folder] = hanging
        return len(hanging) >= MAX_HANGING or any(time.monotonic() - since < REST_SECONDS for since, _ in hanging)


def _refuse(detail: str) -> NoReturn:
    raise TryAgainLater(detail)


@cache
def timed_reader() -> TimedReader:
    """Return this process's reader; a forked child creates its own on its first read."""
    return TimedReader(READ_SECONDS)
