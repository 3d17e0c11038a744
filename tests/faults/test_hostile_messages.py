"""Whatever stands in Redis, no process ends and no other message is lost.

THORAQ_TEST_HOSTILE_MESSAGES says how many messages are drawn; the default takes about a minute.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import hostile_messages
import pytest
import redis
from hostile_messages import TASKS
from judging import copies, score_with_phantoms
from sqlalchemy import text

from worker.broker.frames import MalformedMessage
from worker.broker.set_aside import Flaw
from worker.broker.task_messages import read
from worker.submissions.set_aside_messages import KEPT

COUNT = int(os.environ.get("THORAQ_TEST_HOSTILE_MESSAGES", "300"))
#: A neighbour is sent after this many hostile messages.
NEIGHBOUR_EVERY = 25
#: How many messages stand in Redis at once.
AT_ONCE = 500
#: The processes, and the queues of those that consume messages.
KINDS = {"intake": ["intake", "celery"], "worker": ["score", "pictures"], "trainer": ["train"], "beat": []}
MAX_RSS_BYTES = 512 * 2**20
PRIORITIES = ("", "\x06\x163", "\x06\x169")
KEYS = [
    *(queue + priority for queue in TASKS for priority in PRIORITIES),
    *(f"_kombu.binding{kind}.{queue}" for queue in TASKS for kind in ("", "_permanent")),
    "unacked", "unacked_index", "unacked_mutex",
]  # fmt: skip
#: Commands that give a key a value, one for each type.
VALUES = [
    ("SET", "x"), ("SADD", "x"), ("ZADD", "1", "x"), ("HSET", "x", "{}"), ("LPUSH", "x"), ("XADD", "*", "a", "b"),
]  # fmt: skip
#: Sets a key unless it exists: who overwrites a list of messages deletes them.
SET_NEW = "if redis.call('EXISTS', KEYS[1]) == 0 then redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2)) end"
#: Entries that kombu never writes among the unacknowledged messages.
ENTRIES = [b"{}", b"5", b'[1, "", "score"]', b'[{}, "", "intake"]', b"[{}, [], 7]", b"[" * 900, b"\xff", b"x" * 10**6]


@pytest.fixture
def client(redis_server):
    # A value of 128 MB takes its time on a machine that is busy.
    with redis.Redis.from_url(redis_server.url, socket_timeout=120) as client:
        client.config_set("maxmemory", 0)
        client.config_set("appendonly", "no")
        yield client


@pytest.fixture
def deployment_of_phantoms(deployment, client, tmp_path):
    """A deployment with short limits, so that what is not acknowledged comes back soon."""
    (tmp_path / "images").mkdir()
    score_with_phantoms(deployment)
    deployment.environment |= {
        "THORAQ_TASK_BUDGET_SECONDS": "2",
        "THORAQ_TASK_TIME_LIMIT_SECONDS": "25",
        "THORAQ_LEASE_SECONDS": "26",
        "THORAQ_VISIBILITY_TIMEOUT_SECONDS": "27",
    }
    return deployment


def pending(client) -> int:
    """Count the messages that nobody has taken or acknowledged, a key of a wrong type as one."""
    counts = {b"list": client.llen, b"hash": client.hlen, b"none": lambda _key: 0}
    return sum(
        counts.get(client.type(key), lambda _key: 1)(key) for key in [*KEYS[: len(PRIORITIES) * len(TASKS)], "unacked"]
    )


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process ever had."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()).group(1))


def is_malformed(key: str, message: bytes) -> bool:
    """Return whether the process that consumes a queue has to set a message aside."""
    queue = key.partition("\x06")[0]
    queues = next(queues for queues in KINDS.values() if queue in queues)
    try:
        read(message, {task for name in queues for task, _ in TASKS[name]}, datetime.now(UTC))
    except MalformedMessage as error:
        # A wake-up that has expired is dropped without a word.
        return error.flaw != Flaw.EXPIRED or error.key != (None, None)
    return False


def set_aside(deployment) -> int:
    """Count the messages that the processes say they set aside, without the values of keys."""
    logs = [deployment.log(kind) for kind in KINDS if kind in deployment.processes]
    lines = [line for log in logs for line in log.splitlines() if "was set aside (" in line]
    return sum("(key)" not in line and "(unacked)" not in line for line in lines)


def send_neighbour(broker_url: str, number: int) -> None:
    """Send one film as an upstream system does."""
    request = hostile_messages.envelope(number, f"{number}.png") | {"source": "neighbour"}
    hostile_messages.send(broker_url, "intake", "cxr.score.v1", {"request": request})


def neighbours_scored(deployment) -> int:
    with deployment.database() as connection:
        films = "SELECT count(*) FROM images JOIN studies ON studies.id = study_id"
        return connection.scalar(text(f"{films} WHERE source = 'neighbour' AND images.state = 'scored'"))


def films(deployment) -> int:
    with deployment.database() as connection:
        return connection.scalar(text("SELECT count(*) FROM images"))


def break_keys(client, number: int) -> None:
    """Give some keys values of another type, and put a broken entry among the unacknowledged messages."""
    for at in range(3 * number, 3 * number + 3):
        client.eval(SET_NEW, 1, KEYS[at % len(KEYS)], *VALUES[at // len(KEYS) % len(VALUES)])
    if client.type("unacked") in {b"hash", b"none"} and client.type("unacked_index") in {b"zset", b"none"}:
        client.hset("unacked", f"hostile {number}", ENTRIES[number % len(ENTRIES)])
        client.zadd("unacked_index", {f"hostile {number}": 0})


@pytest.mark.timeout(900 + COUNT // 2)
def test_no_message_ends_a_process_or_loses_another(deployment_of_phantoms, redis_server, client, tmp_path):
    """Hostile messages on every queue, keys of wrong types, and broken entries among the unacknowledged messages."""
    deployment, neighbours, expected = deployment_of_phantoms, COUNT // NEIGHBOUR_EVERY, 0
    messages = hostile_messages.drawn(hostile_messages.valid_messages(redis_server.url), COUNT)
    copies(tmp_path / "images", neighbours)
    break_keys(client, 0)
    for kind in KINDS:
        deployment.start(kind)
    children = {kind: deployment.children(kind) for kind in ("intake", "worker", "trainer")}

    for number in range(neighbours):
        if number % (AT_ONCE // NEIGHBOUR_EVERY) == 0:
            deployment.wait_for(lambda: pending(client) < 50, "the messages to be taken", 300)
        for key, message in messages[number * NEIGHBOUR_EVERY : (number + 1) * NEIGHBOUR_EVERY]:
            if client.type(key) in {b"list", b"none"}:
                client.lpush(key, message)
                expected += is_malformed(key, message)
        break_keys(client, number)
        deployment.wait_for(lambda: client.type("intake") in {b"list", b"none"}, "the queue to be mended", 30)
        send_neighbour(redis_server.url, number)
    deployment.wait_for(lambda: neighbours_scored(deployment) == neighbours, "every neighbour to be scored", 600)
    deployment.wait_for(lambda: pending(client) == 0, "every message to be taken", 300)

    peaks = {kind: peak_bytes(deployment.processes[kind].pid) for kind in KINDS}
    print(f"{COUNT} messages, {expected} of them set aside, {neighbours} neighbours scored, peaks {peaks}")  # noqa: T201
    assert expected <= set_aside(deployment)
    assert children == {kind: deployment.children(kind) for kind in children}
    assert max(peaks.values()) < MAX_RSS_BYTES
    listed = deployment.json("messages", "list", "--limit", str(KEPT))
    assert min(KEPT, expected) <= len(listed)
    assert {len(one["sha256"]) for one in listed} == {64}


def test_huge_messages_cost_no_memory(deployment_of_phantoms, redis_server, client):
    """The longest envelope that is read is accepted; longer values are read through in pieces; none is unpacked."""
    deployment = deployment_of_phantoms
    item = {"image": {"path": "x" * 900}, "reference": "x" * 500}
    longest = hostile_messages.envelope(1) | {"items": [item] * 10_000}
    deployment.start("intake")

    for value in (b"x" * 2**27, b"[" * 2**24, b'{"a":{},' * 2**22):
        client.lpush("intake", value)
        client.lpush("score", value[: 2**24])
    hostile_messages.send(redis_server.url, "intake", "cxr.score.v1", {"request": longest})
    deployment.start("worker")

    deployment.wait_for(lambda: films(deployment) == 10_000, "the longest envelope to be accepted", 120)
    deployment.wait_for(lambda: set_aside(deployment) == 6, "the others to be set aside", 120)
    peaks = {kind: peak_bytes(deployment.processes[kind].pid) for kind in ("intake", "worker")}
    print(f"peaks with huge messages {peaks}")  # noqa: T201
    assert max(peaks.values()) < MAX_RSS_BYTES
