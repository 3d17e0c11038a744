"""Messages that no client of Celery sends: valid ones, broken in every place that a parser of Celery or kombu reads."""

import base64
import itertools
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import redis
from celery import Celery
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

#: Queue -> the tasks that our processes send there, with their arguments.
TASKS = {
    "intake": [("cxr.score.v1", {"request": None}), ("thoraq.sweep", {}), ("thoraq.retrain_nightly", {})],
    "celery": [("cxr.score.v1", {"request": None})],
    "score": [("thoraq.score", {})],
    "pictures": [("thoraq.explain", {}), ("thoraq.detail", {"image_id": 999_999})],
    "train": [("thoraq.retrain", {"run_id": 999_999})],
}
#: Values that break code which expects another type, or which computes with them.
ODD = [
    None, True, 0, 5, -1, 2**31, 10**400, 1e308, float("inf"), float("nan"), "", "x", "\x00", "\ud800", "é" * 300,
    "1" * 5000, [], {}, [[]], [1, 2, 3], [None, None], {"a": {}}, "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2020-01-01T00:00:00", "base64", "application/x-python-serialize", "celery.starmap",
    "application/x-gzip", "celery.chord_unlock", "thoraq.set_aside",
    {"__type__": "uuid", "__value__": 5}, {"__type__": [], "__value__": 1},
    {"__type__": "datetime", "__value__": "2020-01-01T00:00:00"}, {"__type__": "decimal", "__value__": "x"},
]  # fmt: skip
#: Names that Celery or kombu give a meaning to.
NAMES = [
    "task", "id", "eta", "expires", "timelimit", "retries", "shadow", "group", "chord", "callbacks", "errbacks",
    "chain", "stamps", "stamped_headers", "compression", "root_id", "ignore_result", "delivery_tag", "delivery_info",
    "priority", "body_encoding", "reply_to", "correlation_id", "content-type", "content-encoding", "headers",
    "properties", "body",
    "args", "kwargs", "request", "get", "update", "children", "_children", "taskset", "utc", "soft_time_limit",
]  # fmt: skip


def envelope(number: int, path: str = "gone.png") -> dict[str, Any]:
    return {
        "schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs", "request_id": f"r{number}",
        "image": {"path": path}, "reference": f"{number}",
    }  # fmt: skip


def send(broker_url: str, queue: str, task: str, arguments: dict[str, Any]) -> None:
    """Send a message as any client of Celery does."""
    with Celery(broker=broker_url, set_as_current=False) as sender:
        sender.send_task(task, kwargs=arguments, queue=queue)


def valid_messages(broker_url: str) -> list[tuple[str, bytes]]:
    """Return (queue, bytes) of one message of each kind, as Celery writes it; the queues must be empty and unused."""
    found = []
    with redis.Redis.from_url(broker_url) as client:
        for queue, tasks in TASKS.items():
            for task, arguments in tasks:
                send(broker_url, queue, task, {"request": envelope(1)} if "request" in arguments else arguments)
                found.append((queue, client.rpop(queue)))
    return found


def written(value: Any) -> bytes:
    """Return JSON in which `@N@` stands for N arrays and objects, each in the next; json.dumps goes less deep."""
    return re.sub(r'"@(\d+)@"', lambda found: _nested(int(found[1])), json.dumps(value)).encode()


def _nested(depth: int) -> str:
    pairs = [("[", "]"), ('{"a":', "}")]
    return (
        "".join(pairs[at % 2][0] for at in range(depth))
        + "0"
        + "".join(pairs[at % 2][1] for at in reversed(range(depth)))
    )


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the path of every value in a JSON value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, child in children for place in _places(child, (*path, name)))]


def _changed(value: Any, path: tuple, change: Callable[[Any, Any], None]) -> Any:
    value = json.loads(json.dumps(value))
    if not path:
        box = {"": value}
        change(box, "")
        return box.get("")
    parent = value
    for name in path[:-1]:
        parent = parent[name]
    change(parent, path[-1])
    return value


odd_values = st.one_of(
    st.sampled_from(ODD),
    st.sampled_from([value for value in ODD if not isinstance(value, str)]),
    st.sampled_from([f"@{depth}@" for depth in (1, 7, 63, 64, 65, 300, 600, 900)]),
    st.text(max_size=20),
)


@st.composite
def _odd_json(draw: Any, value: Any) -> Any:
    """Replace, remove or add up to three values in a JSON value."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(value)))
        if draw(st.booleans()):
            odd = draw(odd_values)
            value = _changed(value, path, lambda parent, name, odd=odd: parent.__setitem__(name, odd))
        elif path and draw(st.booleans()):
            value = _changed(value, path, lambda parent, name: parent.__delitem__(name))
        else:
            new = draw(st.sampled_from(NAMES)), draw(odd_values)

            def add(parent: Any, name: Any, new: tuple = new) -> None:
                if isinstance(parent[name], dict):
                    parent[name][new[0]] = new[1]

            value = _changed(value, path, add)
        if not isinstance(value, dict | list):
            break
    return value


@st.composite
def _odd_body(draw: Any, frame: dict[str, Any]) -> dict[str, Any]:
    """Change what stands in the body, or how it is written there."""
    body = json.loads(base64.b64decode(frame["body"]))
    odd = written(draw(_odd_json(body)))
    match draw(st.integers(0, 9)):
        case 0:
            return frame | {"body": draw(st.text(max_size=40))}
        case 1:
            return frame | {"body": frame["body"][: draw(st.integers(0, len(frame["body"])))]}
        case 2:
            compression = draw(st.sampled_from(["application/x-gzip", "zlib", "x", 5]))
            frame = frame | {"headers": frame["headers"] | {"compression": compression}}
            odd = zlib.compress(draw(st.sampled_from([odd, b"[" * 10**7])))
        case 3:  # the first protocol of Celery
            old = {"args": body[0], "kwargs": body[1], "task": frame["headers"]["task"], "id": "x"}
            frame, odd = frame | {"headers": {}}, written(draw(_odd_json(old)))
        case 4:
            odd = draw(st.binary(max_size=40))
        case 5:
            odd = b"[[], {}, " + b"[" * draw(st.sampled_from([100, 900, 100_000]))
    return frame | {"body": base64.b64encode(odd).decode()}


@st.composite
def _odd_bytes(draw: Any, message: bytes) -> bytes:
    """Change the bytes of a message."""
    at, some = draw(st.integers(0, len(message))), draw(st.binary(min_size=1, max_size=8))
    encoding = draw(st.sampled_from(["utf-16", "utf-32", "utf-8-sig"]))
    name, value = draw(st.sampled_from(NAMES)), json.dumps(draw(st.sampled_from(ODD)))
    return draw(
        st.sampled_from(
            [
                message[:at],
                message[:at] + some + message[at:],
                message[:at] + some + message[at + 8 :],
                draw(st.binary(max_size=60)),
                message.decode().encode(encoding),
                message[:-1] + f', "{name}": {value}}}'.encode(),  # the same key twice
                written(draw(odd_values)),
            ]
        )
    )


@st.composite
def hostile(draw: Any, valid: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Draw (queue, bytes): a valid message that was changed, in its own queue or in another."""
    queue, message = draw(st.sampled_from(valid))
    if draw(st.integers(0, 9)) == 0:
        queue = draw(st.sampled_from(sorted(TASKS)))
    frame = json.loads(message)
    match draw(st.integers(0, 3)):
        case 0:
            changed = draw(_odd_bytes(message))
        case 1 | 2:
            changed = written(draw(_odd_json(frame)))
        case _:
            changed = written(draw(_odd_body(frame)))
    priority = draw(st.sampled_from(["", "", "", "\x06\x163", "\x06\x169"]))
    return queue + priority, changed


def drawn(valid: list[tuple[str, bytes]], count: int) -> list[tuple[str, bytes]]:
    """Draw `count` different hostile messages, the same ones in every run."""
    found: dict[tuple[str, bytes], None] = {}
    for number in itertools.count(20261129):

        @seed(number)
        @settings(
            max_examples=500,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(hostile(valid))
        def collect(one: tuple[str, bytes]) -> None:
            found.setdefault(one)

        collect()
        if len(found) >= count:
            return list(found)[:count]
    raise AssertionError
