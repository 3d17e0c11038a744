"""A worker that is frozen in a transaction: the server ends it, and its films are scored by another."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from judging import copies, one_outcome_each, score_with_phantoms, scored
from sqlalchemy import text

FILMS = 200


def test_the_server_ends_the_transaction_of_a_frozen_worker(deployment, tmp_path):
    """Its child is stopped while it holds locks; another worker scores its films before any lease ends."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    score_with_phantoms(deployment)
    deployment.environment |= {"THORAQ_BATCH_SIZE": "4", "THORAQ_LEASE_SECONDS": "45"}
    for kind in ("intake", "beat", "worker"):
        deployment.start(kind)
    deployment.json("submit", str(tmp_path / "films"))
    deployment.wait_for(lambda: scored(deployment) >= 8, "the first films", 60)
    (child,) = deployment.children("worker")
    with frozen_in_a_transaction(deployment, child):
        deployment.processes["frozen"] = deployment.processes["worker"]
        deployment.start("worker")
        before = scored(deployment)

        deployment.wait_for(lambda: scored(deployment) > before, "the second worker's first film", 15)
        deployment.wait_until_finished(seconds=200)

    one_outcome_each(deployment, FILMS)


@contextmanager
def frozen_in_a_transaction(deployment, child: int) -> Iterator[None]:
    """Stop the child at a moment at which it holds locks of images; let it go on afterwards."""
    holds = text(
        "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE a.state = 'idle in transaction' "
        "AND l.relation = 'images'::regclass AND l.mode = 'RowExclusiveLock'"
    )
    try:
        with deployment.database() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")  # Each look is a new one.
            for _ in range(2000):
                os.kill(child, signal.SIGSTOP)
                time.sleep(0.02)
                if connection.scalar(holds):
                    break
                os.kill(child, signal.SIGCONT)
                time.sleep(0.003)
            else:
                pytest.fail("the worker was never in a transaction")
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)
