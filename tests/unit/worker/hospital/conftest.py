"""Receivers inside this process."""

import threading

import pytest
from hospital_rig import Receiver, wait_for


@pytest.fixture
def start(tmp_path):
    """Start receivers; they are stopped afterwards."""
    started = []

    def begin(**options):
        started.append(Receiver(tmp_path / f"spool{len(started)}", **options))
        return started[-1]

    yield begin
    for receiver in started:
        receiver.associations.stop(0)
        wait_for(lambda: not any("AcceptorThread" in thread.name for thread in threading.enumerate()))


@pytest.fixture
def receiver(start):
    return start()
