"""A callback through real Redis, PostgreSQL and processes."""

import json

import pytest
from receiver import SECRET, listening

from worker.films.phantoms import write_films


@pytest.fixture
def endpoint(deployment):
    """An endpoint `ris` that the deployment may call."""
    with listening() as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        deployment.environment["THORAQ_CALLBACKS"] = json.dumps({"ris": {"url": url, "secret": SECRET}})
        yield server


def test_a_callback_is_sent_again_after_the_endpoint_was_down(deployment, tmp_path, endpoint):
    """The intake process sends it, and tries again after half a minute."""
    write_films(tmp_path / "films", per_finding=1, seed=3)
    endpoint.status = 503
    for process in ("intake", "worker", "beat"):
        deployment.start(process)
    accepted = deployment.json("submit", str(tmp_path / "films"), "--callback", "ris")
    deployment.wait_for(lambda: endpoint.bodies, "the first call", 60)
    endpoint.status = 200
    deployment.wait_for(lambda: len(endpoint.bodies) > 1, "the second call", 60)

    first, second = (json.loads(body) for body in endpoint.bodies)
    assert first["event_id"] == second["event_id"]
    assert accepted["submission_id"] == second["data"]["submission_id"]
    assert accepted["accepted"] == second["data"]["counts"]["scored"] + second["data"]["counts"]["rejected"]
