"""JSON bodies of requests: bounded before they are read, and not many large ones at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable

from worker import bounded_json
from worker.allowance import working_memory
from worker.bounded_json import MAX_BYTES, OversizedJson, UnreadableJson
from worker.errors import RefusedSubmission

RETRY_AFTER_SECONDS = 2
#: How often the bytes of an envelope lie in memory while it is checked and stored.
COPIES = 4


@contextmanager
def message() -> Iterator[object]:
    """Yield the JSON value of the request's body.

    Raises:
        RefusedSubmission: it is too large, or not JSON.
        ServiceUnavailable: other large bodies take the memory. Waiting for it would keep a thread.
    """
    size = request.content_length
    if size is None or size > MAX_BYTES:
        raise RequestEntityTooLarge(f"JSON may have {MAX_BYTES} bytes.")
    with working_memory.take(COPIES * size, wait_seconds=0) as taken:
        if not taken:
            raise ServiceUnavailable("Other large submissions are being read.", retry_after=RETRY_AFTER_SECONDS)
        yield loads(request.get_data(cache=False))


def loads(data: bytes) -> object:
    """Return the value of a JSON text.

    Raises:
        RefusedSubmission: it is too large, or not JSON.
    """
    try:
        return bounded_json.loads(data)
    except OversizedJson as error:
        raise RefusedSubmission("too_large", str(error)) from error
    except UnreadableJson as error:
        raise RefusedSubmission("invalid", str(error)) from error
