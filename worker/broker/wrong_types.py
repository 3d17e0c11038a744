"""Sets keys aside whose value has another type than kombu needs, so that the next command finds none there.

A queue that is a string, for example, fails every command of kombu's, in every process.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

from redis import Redis
from redis.exceptions import ResponseError

from worker.broker.set_aside import QUEUES, Flaw, Place, SetAside

logger = logging.getLogger(__name__)

#: How long a value that is set aside stays under its new name when this process dies before it is described.
ASIDE_SECONDS = 24 * 3600

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def mended(method: Callable[Concatenate[Any, Arguments], Result]) -> Callable[Concatenate[Any, Arguments], Result]:
    """Decorate a method of a class with a method `mend`, which sets keys of a wrong type aside.

    If a key has a wrong type, it is set aside and the method is called again.
    """

    def again(self: Any, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:  # noqa: ANN401
        try:
            return method(self, *args, **kwargs)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            self.mend()
            return method(self, *args, **kwargs)

    return functools.wraps(method)(again)


def is_wrong_type(error: ResponseError) -> bool:
    """Return whether Redis refused a command because a key has another type."""
    return "WRONGTYPE" in str(error)


def expected_types(priority_keys: Callable[[str], list[str]], unacked: str, index: str) -> Iterator[tuple[str, bytes]]:
    """Yield each key that kombu uses for our queues, with its type."""
    for queue in sorted(QUEUES):
        for key in priority_keys(queue):
            yield key, b"list"
        yield f"_kombu.binding.{queue}", b"set"
        yield f"_kombu.binding_permanent.{queue}", b"set"
    yield unacked, b"hash"
    yield index, b"zset"


def set_aside(client: Redis, key: str, expected: bytes) -> SetAside | None:
    """Take a key's value away if it has another type; return what it was, or None if there was nothing to do."""
    aside = f"thoraq:set-aside:{key}"

    def rename(pipe: Any) -> None:  # noqa: ANN401 - redis-py's pipeline
        found = pipe.type(key)
        pipe.multi()
        if found not in {expected, b"none"}:
            pipe.rename(key, aside).expire(aside, ASIDE_SECONDS)

    # Another process may set the same key aside, and a message may stand there by then: the key is watched.
    if not client.transaction(rename, key):
        return None
    dump = client.dump(aside) or b""
    client.unlink(aside)
    logger.error("the key %r of Redis had a wrong type; its value was set aside", key)
    return SetAside.of(dump, Place.KEY, Flaw.WRONG_TYPE)
