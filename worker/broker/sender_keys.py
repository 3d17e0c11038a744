"""Finds a sender's key in a message that cannot be run, so that it can be refused under its key."""

import base64
import binascii
import json
import re
from typing import Any

from worker.inputs.bounded_json import MAX_VALUES

#: How deep the fields of an envelope are in a body: the body, the arguments, the envelope.
ENVELOPE_DEPTH = 3
#: A string, or a bracket. A string that does not end reaches to the end of the text, so that no text is read twice.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)

#: (source, request id), each None if it is not known.
Key = tuple[str | None, str | None]
NO_KEY: Key = (None, None)


def find(data: bytes) -> Key:
    """Return the key of the envelope in a message as it stands in Redis."""
    frame = outline(data.decode(errors="replace"), 1)
    text = frame.get("body") if isinstance(frame, dict) else None
    if not isinstance(text, str):
        return NO_KEY
    try:
        # Characters that base64 does not have are left out, as kombu does.
        decoded = base64.b64decode(text.encode(errors="replace"))
    except binascii.Error:
        decoded = b""
    for candidate in (decoded.decode(errors="replace"), text):
        if (key := _of_body(outline(candidate, ENVELOPE_DEPTH))) != NO_KEY:
            return key
    return NO_KEY


def of_envelope(envelope: object) -> Key:
    """Return the key of an envelope."""
    fields = envelope if isinstance(envelope, dict) else {}
    source, request_id = fields.get("source"), fields.get("request_id")
    return source if isinstance(source, str) else None, request_id if isinstance(request_id, str) else None


def _of_body(body: object) -> Key:
    match body:
        # Celery's first protocol, then its second; the arguments of each may be named or positional.
        case {"kwargs": {"request": envelope}} | {"args": [envelope, *_]}:
            return of_envelope(envelope)
        case [_, {"request": envelope}, *_] | [[envelope, *_], *_]:
            return of_envelope(envelope)
    return NO_KEY


def outline(text: str, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text in which each array and object below `depth` levels is null.

    None if it cannot be read even so.
    """
    kept, level, start = [], 0, 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "[{":
            level += 1
            if level == depth + 1:
                kept += [text[start : token.start()], "null"]
        elif first in "]}":
            if level == depth + 1:
                start = token.end()
            level -= 1
    if level <= depth:
        kept.append(text[start:])
    short = "".join(kept)
    # A number that is too large, since strings may hold these characters.
    if short.count(",") + short.count("[") + short.count("{") > MAX_VALUES:
        return None
    try:
        return json.loads(short)
    except ValueError:
        return None
