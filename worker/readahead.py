"""The files of a batch, read a few before their turn: a decoder never waits for a disk or for another thread."""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from threading import Lock
from typing import NoReturn

from worker.ledger import Claim

#: Files that are read while others are decoded: one for each core of a small host. A file may have 64 MiB.
FILES_AHEAD = 2


class Readahead:
    """Begins to read files in the order of their claims, and hands them out in about that order."""

    def __init__(self, claims: Iterable[Claim], begin: Callable[[Claim], Callable[[], bytes]]) -> None:
        """Read nothing yet.

        Args:
            claims: in the order in which `take` will be asked for them.
            begin: starts to read one file, and returns what waits for its bytes; both may raise what they like.
        """
        self._due = deque(claims)
        self._begin = begin
        self._begun: dict[int, Callable[[], bytes]] = {}
        self._lock = Lock()

    def take(self, claim: Claim) -> bytes:
        """Return a file's bytes, or raise what its reading raises; each file is handed out once."""
        with self._lock:
            while self._due and (claim.image_id not in self._begun or len(self._begun) <= FILES_AHEAD):
                coming = self._due.popleft()
                self._begun[coming.image_id] = self._begun_or_failed(coming)
            wait = self._begun.pop(claim.image_id)
        return wait()

    def _begun_or_failed(self, coming: Claim) -> Callable[[], bytes]:
        """Return what waits for a file's bytes, or what raises why it could not be begun: in its own turn."""
        try:
            return self._begin(coming)
        except Exception as error:  # noqa: BLE001 - it is raised, only later
            return partial(_fail, error)


def _fail(error: Exception) -> NoReturn:
    raise error
