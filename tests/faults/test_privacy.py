"""Patient identifiers are in the database and in the sender's message, and nowhere else, whatever fails."""

import json
import subprocess
import sys
from pathlib import Path

import redis
from judging import copies, score_with_phantoms

CANARIES = {
    "patient_key": "CANARY-h4x9q",
    "study_instance_uid": "1.2.826.0.1.99774411.7",
    "series_instance_uid": "1.2.826.0.1.99774411.8",
    "sop_instance_uid": "1.2.826.0.1.99774411.9",
    "accession": {"number": "CANARY-A77", "issuer": "CANARY-NORTH"},
    # A sender breaks the rules with a field that the envelope does not have.
    "patient_name": "CANARY^QUERZ",
}
WORDS = (b"CANARY", b"99774411", b"QUERZ")


def send(deployment, tmp_path, request: object, task: str = "cxr.score.v1") -> None:
    """Send one message as an upstream system does."""
    (tmp_path / "envelope.json").write_text(json.dumps(request))
    script = Path(__file__).parent.parent / "integration" / "send_batch.py"
    broker = deployment.environment["THORAQ_BROKER_URL"]
    subprocess.run([sys.executable, script, broker, tmp_path / "envelope.json", task], check=True)


def envelope(number: int, path: str, **changed) -> dict:
    message = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": str(number)}
    image = {"image": {"path": path, "sha256": None}, "reference": "CANARY-ref"}
    return message | image | CANARIES | changed


def test_no_log_and_no_message_names_a_patient_whatever_fails(deployment, redis_server, tmp_path):
    """A good film, broken ones, refused and unknown messages, a killed child, an outage of the broker: 0 hits."""
    (tmp_path / "images").mkdir()
    copies(tmp_path / "images", 3)
    (tmp_path / "images" / "CANARY.png").write_bytes(b"no film")
    score_with_phantoms(deployment)
    deployment.environment["THORAQ_LOG_FORMAT"] = "json"
    for kind in ("intake", "beat", "worker"):
        deployment.start(kind)

    send(deployment, tmp_path, envelope(1, "0.png"))
    send(deployment, tmp_path, envelope(2, "CANARY.png"))
    send(deployment, tmp_path, envelope(3, "gone/CANARY.png"))
    send(deployment, tmp_path, envelope(4, "../CANARY.png"))
    send(deployment, tmp_path, envelope(1, "1.png"))  # a conflict
    send(deployment, tmp_path, envelope(5, "1.png", schema_version="9.0"))
    send(deployment, tmp_path, {"patient_name": "CANARY^QUERZ", "source": "x" * 99_999})
    send(deployment, tmp_path, envelope(6, "1.png"), task="cxr.score.v7")
    deployment.wait_for(lambda: sum(deployment.standing()[k] for k in ("scored", "rejected")) >= 3, "outcomes", 60)
    for kind in ("worker", "intake"):
        (killed,) = deployment.children(kind)
        deployment.kill_child(kind)
        deployment.wait_for(lambda kind=kind, killed=killed: deployment.children(kind) not in ([], [killed]), kind, 30)
    redis_server.kill()
    redis_server.start()
    deployment.thoraq("submit", str(tmp_path / "images" / "2.png"))
    deployment.wait_until_finished(seconds=60)

    with redis.Redis.from_url(redis_server.url) as client:
        queues = {queue: b"".join(client.lrange(queue, 0, -1)) for queue in ("score", "train")}
    logs = {path.name: path.read_bytes() for path in deployment.directory.glob("*.log")}
    assert {"intake.log", "beat.log", "worker.log"} <= set(logs)
    assert b"a message was refused" in logs["intake.log"]
    for name, text in {**logs, **queues}.items():
        assert [] == [line for line in text.splitlines() if any(word in line for word in WORDS)], name
    ours = [json.loads(line) for line in logs["worker.log"].splitlines() if line.startswith(b"{")]
    assert any("task_id" in line for line in ours)
