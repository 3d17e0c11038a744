"""Reads JSON from senders whose size, number of values and depth are bounded before anything is built.

A value can take a hundred times its length in memory: 37 MB of empty objects became 1.1 GB, and deep nesting ended in a
RecursionError. The bounds are counted in the bytes, which costs no memory.
"""

import re

from pydantic_core import from_json

#: An envelope of 10,000 items whose texts all have their largest length has 22.3 MB.
MAX_BYTES = 24 * 2**20
#: Text with another character than those of ASCII, or an escape, may have this part of the bytes: in memory it takes up
#: to four times its length.
WIDE_PART = 3
#: A complete item has 13 values and an envelope 10,000 items; the rest is for fields that this version does not know.
MAX_VALUES = 32 * 10_000
#: An envelope has five levels, and a Celery message two more.
MAX_DEPTH = 64

#: A string, to its end or that of the data, or a character that begins, separates or ends values.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UnreadableJson(ValueError):
    """The data is not JSON in UTF-8; its message has no part of the data."""


class OversizedJson(UnreadableJson):
    """The data has more bytes, values or levels than a sender may send."""


def loads(data: bytes, *, max_bytes: int = MAX_BYTES) -> object:
    """Return the value of a JSON text; among equal names in an object the last one counts.

    Raises:
        OversizedJson: see `check`.
        UnreadableJson: it is not JSON in UTF-8, or it has NaN or half of a surrogate pair, which JSON cannot express.
    """
    check(data, max_bytes=max_bytes)
    try:
        # Builds the values from the bytes: one wide character would make a text of the whole four times as large.
        return from_json(data.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
    except ValueError as error:
        raise UnreadableJson(f"not JSON in UTF-8: {error}") from None


def check(data: bytes, *, max_bytes: int = MAX_BYTES) -> int:
    """Check the size, the number of values and the depth of a JSON text, whether or not it is valid.

    Returns the number of values.

    Args:
        data: the text in UTF-8, or in ASCII.
        max_bytes: the most bytes that it may have.

    Raises:
        OversizedJson: it has more than `max_bytes`, `MAX_VALUES` or `MAX_DEPTH`.
    """
    if len(data) > max_bytes:
        raise OversizedJson(f"more than {max_bytes} bytes of JSON")
    if len(data) > max_bytes // WIDE_PART and not (data.isascii() and b"\\u" not in data):
        raise OversizedJson(f"more than {max_bytes // WIDE_PART} bytes of JSON that is not plain ASCII")
    values, names, depth = 1, 0, 0
    for match in _STRUCTURE.finditer(data):
        match data[match.start()]:
            case 0x22:  # A string, which may hold the other characters: a name, or a value that is counted already.
                names += 1
            case 0x5B | 0x7B:  # [ or {
                values, depth = values + 1, depth + 1
            case 0x2C:  # A comma stands before one more value.
                values += 1
            case _:  # ] or }
                depth -= 1
        if depth > MAX_DEPTH:
            raise OversizedJson(f"more than {MAX_DEPTH} levels of JSON")
        if values > MAX_VALUES or names > 2 * MAX_VALUES:
            raise OversizedJson(f"more than {MAX_VALUES} values of JSON")
    return values
