"""Which threads answer a request."""

import threading
from types import SimpleNamespace

import pytest

from dashboard.serving.lanes import Lanes


@pytest.fixture
def lanes():
    """Lanes with two threads for pages, one for uploads and one for health checks."""
    lanes = Lanes(frozenset({"/upload"}), 2)
    yield lanes
    lanes.shutdown()


def task(path: str, method: str, work) -> SimpleNamespace:
    """Return a connection whose first request has this path, and which does this work."""
    return SimpleNamespace(requests=[SimpleNamespace(path=path, command=method)], service=work)


def test_neither_uploads_nor_pages_hold_up_a_health_check(lanes):
    """Each waits for its own threads alone."""
    end, done = threading.Event(), {name: threading.Event() for name in ("page", "form", "health", "malformed")}
    for _ in range(5):
        lanes.add_task(task("/upload", "POST", end.wait))
    lanes.add_task(task("/upload", "GET", done["form"].set))
    lanes.add_task(task("/studies", "GET", done["page"].set))
    assert done["form"].wait(10)
    assert done["page"].wait(10)
    for _ in range(5):
        lanes.add_task(task("/studies", "GET", end.wait))

    lanes.add_task(task("/health/live", "GET", done["health"].set))
    assert done["health"].wait(10)
    lanes.add_task(SimpleNamespace(requests=[SimpleNamespace()], service=done["malformed"].set))
    end.set()
    assert done["malformed"].wait(10)
