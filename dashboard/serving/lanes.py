"""Which threads answer a request: health checks and uploads have threads of their own, and neither waits for pages."""

from collections.abc import Set as AbstractSet
from typing import Any

from waitress.task import ThreadedTaskDispatcher

#: Health checks of load balancers and monitors.
HEALTH = "/health/"


class Lanes:
    """Distributes complete requests to threads, as waitress's own dispatcher does."""

    def __init__(self, upload_paths: AbstractSet[str], threads: int) -> None:
        """Start the threads: `threads` for pages and the API, half as many for uploads, one for health checks."""
        self._upload_paths = upload_paths
        self._health, self._uploads, self._others = (_start(count) for count in (1, max(1, threads // 2), threads))

    def add_task(self, connection: Any) -> None:  # noqa: ANN401 - waitress has no types
        """Have the first request of a connection answered."""
        request = connection.requests[0]
        # A request that could not be parsed has no path.
        path = getattr(request, "path", "")
        if path.startswith(HEALTH):
            self._health.add_task(connection)
        elif path in self._upload_paths and request.command == "POST":
            self._uploads.add_task(connection)
        else:
            self._others.add_task(connection)

    def shutdown(self) -> None:
        """Stop the threads that have nothing to do, and wait a second for each lane of the others."""
        for lane in (self._health, self._uploads, self._others):
            lane.shutdown(timeout=1)


def _start(threads: int) -> Any:  # noqa: ANN401
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(threads)
    return dispatcher
