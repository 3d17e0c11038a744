"""The clocks of hosts differ by minutes; leases, waits and silences are measured by the database's."""

import os
import time
from pathlib import Path

import pytest
from judging import attempts, copies, one_outcome_each, score_with_phantoms, scored
from sqlalchemy import text

FILMS = 300


@pytest.fixture
def faketime() -> str:
    """The library that gives a process another clock."""
    found = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have libfaketime")
        pytest.skip("there is no libfaketime here")
    return found


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_worker_host_with_another_clock_works_as_every_other(deployment, faketime, tmp_path, minutes):
    """No sweep takes its leases back, no attempt is charged, it counts as up, and its times are the database's."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    score_with_phantoms(deployment)
    deployment.environment |= {"THORAQ_BATCH_SIZE": "4", "THORAQ_TASK_BUDGET_SECONDS": "2"}
    for kind in ("intake", "beat"):
        deployment.start(kind)
    true_clock = dict(deployment.environment)
    deployment.environment |= {"LD_PRELOAD": faketime, "FAKETIME": f"{minutes:+d}m", "DONT_FAKE_MONOTONIC": "1"}
    deployment.start("worker")
    deployment.environment = true_clock
    assert deployment._alive("worker")
    deployment.json("submit", str(tmp_path / "films"))

    deployment.wait_for(lambda: scored(deployment) >= 40, "the first films", 60)
    assert deployment._alive("worker")
    time.sleep(5)  # Two sweeps.
    deployment.wait_until_finished(seconds=120)

    one_outcome_each(deployment, FILMS)
    assert {1: FILMS} == attempts(deployment)
    with deployment.database() as connection:
        off = connection.scalar(
            text("SELECT max(abs(extract(epoch FROM finished_at - clock_timestamp()))) FROM images")
        )
        silent = connection.scalar(text("SELECT max(extract(epoch FROM clock_timestamp() - seen_at)) FROM processes"))
    assert off < 120
    assert silent < 10


def test_sweeps_are_done_though_beat_has_another_clock(deployment, faketime):
    """A sweep that expired on the host of the intake would never be done."""
    deployment.start("intake")
    true_clock = dict(deployment.environment)
    deployment.environment |= {"LD_PRELOAD": faketime, "FAKETIME": "-5m"}
    deployment.start("beat")
    deployment.environment = true_clock

    deployment.wait_for(lambda: deployment._alive("beat"), "a sweep", 30)
