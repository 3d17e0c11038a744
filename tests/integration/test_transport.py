"""The transport on a real Redis: what is handed to Celery, what is set aside, and what returns to its queue."""

import json
import time

import pytest
import redis
from hostile_messages import envelope, send

from worker.broker import transport
from worker.broker.set_aside import QUEUES

TAG = "a tag"


@pytest.fixture
def client(broker_url):
    with redis.Redis.from_url(broker_url) as client:
        yield client


@pytest.fixture
def channel(broker_url, monkeypatch):
    """A channel that consumes the queue `score`, and puts what it hands over into `taken`."""
    from kombu import Connection

    import worker.tasks.intake
    import worker.tasks.scoring  # noqa: F401 - the tasks that this process has
    from worker.celery_app import app, configuration
    from worker.settings import Settings

    options = configuration(Settings(mode="test"))["broker_transport_options"]
    assert isinstance(app.tasks, dict)
    with Connection(broker_url, transport_options=options | {"visibility_timeout": 0}) as connection:
        channel = connection.channel()
        assert isinstance(channel, transport.Channel)
        channel.taken = []
        channel.basic_consume("score", no_ack=False, callback=channel.taken.append, consumer_tag="test")
        yield channel


def drain(channel, count=1, seconds=20):
    """Take messages until `count` were handed over."""
    deadline = time.monotonic() + seconds
    while len(channel.taken) < count:
        assert time.monotonic() < deadline, f"{len(channel.taken)} of {count} messages"
        try:
            channel.connection.drain_events(channel.connection, timeout=0.2)
        except TimeoutError:
            continue


def told(client) -> list[dict]:
    """Return what an intake process is told of messages that were set aside."""
    import base64

    found = []
    for message in client.lrange("intake", 0, -1):
        _, arguments, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
        found.append(arguments["message"])
    return found


def test_a_broken_message_is_described_to_intake_and_its_neighbour_is_handed_over(channel, client, broker_url):
    """The broken one is taken first."""
    client.lpush("score", b"\xff")
    send(broker_url, "score", "thoraq.score", {})

    drain(channel)

    (message,) = channel.taken
    assert ("thoraq.score", [[], {}, {}]) == (message.headers["task"], message.payload)
    (aside,) = told(client)
    assert ("score", "not_json") == (aside["place"], aside["flaw"])
    message.ack()
    assert (0, 0) == (client.hlen("unacked"), client.zcard("unacked_index"))


def test_a_message_larger_than_is_read_is_described(channel, client, broker_url):
    """It is read through in pieces, and never held whole."""
    client.config_set("maxmemory", 0)
    client.lpush("score", b"x" * (50 * 2**20))
    send(broker_url, "score", "thoraq.score", {})

    drain(channel)

    (aside,) = told(client)
    assert ("too_large", 50 * 2**20) == (aside["flaw"], aside["size"])


@pytest.mark.parametrize("value", [("set", "x"), ("sadd", "x"), ("hset", "x", "y")])
@pytest.mark.parametrize("key", ["score", "score\x06\x163", "unacked", "unacked_index"])
def test_a_key_of_a_wrong_type_is_set_aside(channel, client, broker_url, key, value):
    """Before, the process ended, and the next one, too."""
    if key == "unacked" and value[0] == "hset":
        pytest.skip("that is the right type")
    getattr(client, value[0])(key, *value[1:])
    if key != "score":
        send(broker_url, "score", "thoraq.score", {})
    else:
        with pytest.raises(TimeoutError):
            channel.connection.drain_events(channel.connection, timeout=1)
        send(broker_url, "score", "thoraq.score", {})

    drain(channel)

    assert {"wrong_type"} == {aside["flaw"] for aside in told(client)}
    channel.taken[0].ack()
    assert (b"none", b"none") == (client.type("unacked"), client.type("unacked_index"))


def test_a_message_is_sent_though_its_queue_had_a_wrong_type(client, broker_url, monkeypatch, data_dir):
    """A wake-up after a commit must not turn the answer into an error."""
    from worker import wakeups
    from worker.celery_app import app

    client.set("score", "x")
    with app.connection(broker_url) as connection:
        channel = connection.channel()
        channel._put("score", {"properties": {}})
        assert 1 == channel._size("score")
    assert wakeups.MAX_PENDING


def test_messages_of_a_dead_process_return_to_their_queues(channel, client, broker_url):
    """What kombu wrote returns; what nobody wrote is set aside; a lock that nobody will end is taken away."""
    send(broker_url, "pictures", "thoraq.explain", {})
    frame = json.loads(client.rpop("pictures"))
    entries = {
        TAG: json.dumps([frame, "", "pictures"]),
        "urgent": json.dumps([frame | {"properties": {"priority": 9}}, "", "pictures"]),
        "of another application": json.dumps([{"any": 1}, "", "their queue"]),
        "to a key of another type": json.dumps([frame, "", "their hash"]),
        "broken": b"\xff", "no frame": b"[1]", "no queue": json.dumps([frame, "", ""]), "deep": b"[" * 900,
        "infinite": json.dumps([{"properties": {"priority": float("inf")}}, "", "pictures"]),
    }  # fmt: skip
    for tag, entry in entries.items():
        client.hset("unacked", tag, entry)
    client.zadd("unacked_index", dict.fromkeys([*entries, "only in the index"], 0))
    client.set("unacked_mutex", "for ever")
    client.hset("their hash", "a", "b")

    channel.qos.restore_visible(num=None, interval=1)

    assert (0, 0) == (client.hlen("unacked"), client.zcard("unacked_index"))
    assert 1 == client.llen("pictures")
    assert frame == json.loads(client.lindex("pictures", 0))
    assert 1 == client.llen("pictures\x06\x169")
    assert [b'{"any": 1}'] == client.lrange("their queue", 0, -1)
    assert 6 == len(told(client))
    assert {"unacked"} == {aside["place"] for aside in told(client)}


def test_a_message_that_returns_to_a_queue_of_a_wrong_type_is_not_lost(channel, client, broker_url):
    """The key is set aside first."""
    send(broker_url, "pictures", "thoraq.explain", {})
    entry = json.dumps([json.loads(client.rpop("pictures")), "", "pictures"])
    client.hset("unacked", TAG, entry)
    client.zadd("unacked_index", {TAG: 0})
    client.set("pictures", "x")

    channel.qos.restore_visible(num=None, interval=1)

    assert 1 == client.llen("pictures")


def test_what_is_taken_and_in_no_index_is_found_again(channel, client, broker_url):
    """Whoever replaces the index would otherwise lose what a dead process had taken."""
    client.hset("unacked", TAG, json.dumps([{}, "", "pictures"]))
    client.set("unacked_index", "x")

    channel.mend()

    assert [TAG.encode()] == client.zrange("unacked_index", 0, -1)


def test_a_full_redis_loses_no_message_that_was_taken(channel, client, broker_url):
    """It cannot be stored as taken, so it is run at once."""
    send(broker_url, "score", "thoraq.score", {})
    send(broker_url, "score", "thoraq.score", {})
    client.config_set("maxmemory", 1)

    drain(channel, count=2)
    channel.taken[0].ack()
    channel.taken[1].requeue()

    client.config_set("maxmemory", 0)
    assert channel.qos.can_consume()


def test_every_queue_has_a_name_that_the_transport_knows():
    """The queues of the processes are those whose keys are mended."""
    from worker import celery_app

    assert {getattr(celery_app, name) for name in dir(celery_app) if name.endswith("_QUEUE")} - {
        celery_app.UNROUTABLE_QUEUE
    } == QUEUES
    assert envelope(1)["schema"]
