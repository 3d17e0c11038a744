"""JSON bodies of requests: bounded before they are read, and not many large ones at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable

from worker.errors import RefusedSubmission
from worker.inputs import bounded_json
from worker.inputs.allowance import working_memory
from worker.inputs.bounded_json import MAX_BYTES, OversizedJson, UnreadableJson

RETRY_AFTER_SECONDS = 2
#: A submission waits this long for the memory that others take: most of them are stored by then.
WAIT_SECONDS = 10
#: What a byte of an envelope takes in memory at most until it is stored: an item of 24 bytes becomes objects of 5 KB.
MEMORY_PER_BYTE = 200


@contextmanager
def message() -> Iterator[object]:
    """Yield the JSON value of the request's body.

    Raises:
        RefusedSubmission: it is too large, or not JSON.
        ServiceUnavailable: other large bodies take the memory.
    """
    size = request.content_length
    if size is None or size > MAX_BYTES:
        raise RequestEntityTooLarge(f"JSON may have {MAX_BYTES} bytes.")
    with working_memory.take(MEMORY_PER_BYTE * size, WAIT_SECONDS) as taken:
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
