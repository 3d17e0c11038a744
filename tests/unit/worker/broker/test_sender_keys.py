"""A sender's key is found however broken its message is, and looking for it raises nothing."""

import base64
import json

import pytest

from worker.broker import sender_keys
from worker.broker.sender_keys import NO_KEY, outline
from worker.inputs.bounded_json import MAX_VALUES


@pytest.mark.parametrize("depth", [3, 300, 900, 100_000])
def test_an_outline_leaves_out_what_is_deeper(depth):
    """The key is found however deep the rest of a message is."""
    text = '{"source": "pacs", "more": ' + "[" * depth + "]" * depth + ', "request_id": "7"}'

    assert {"source": "pacs", "more": None, "request_id": "7"} == outline(text, 1)


@pytest.mark.parametrize(
    "text",
    ['{"a": 1', '{"a": "\\', "[" * 1000, '"\\' * 500_000 + "[" * 1000, "[" + "0," * MAX_VALUES + "0]", "1" * 5000],
)
def test_an_outline_of_what_cannot_be_read_is_none(text):
    """Among them are escaped quotes, through which a slower pattern would run again for each of them."""
    assert outline(text, 3) is None


ENVELOPE = {"source": "pacs", "request_id": "7"}


@pytest.mark.parametrize(
    "body",
    [
        [[], {"request": ENVELOPE}, {}],
        [[ENVELOPE], {}, {}],
        [[], {"request": ENVELOPE}],
        {"kwargs": {"request": ENVELOPE}},
        {"args": [ENVELOPE]},
    ],
)
@pytest.mark.parametrize("encode", [lambda text: base64.b64encode(text.encode()).decode(), lambda text: text])
def test_the_key_is_found_wherever_celery_puts_the_envelope(body, encode):
    """Both protocols, named or positional, in base64 or as it is."""
    message = json.dumps({"body": encode(json.dumps(body)), "headers": 5})

    assert ("pacs", "7") == sender_keys.find(message.encode())


@pytest.mark.parametrize("message", [b"", b"{}", b"\xff", b'{"body": 5}', b'{"body": "%"}', b'{"body": ""}'])
def test_a_message_without_a_key_has_none(message):
    """Looking for it raises nothing."""
    assert NO_KEY == sender_keys.find(message)


def test_a_part_that_is_no_text_is_unknown():
    """The other part is used all the same."""
    assert (None, "7") == sender_keys.of_envelope({"source": 5, "request_id": "7"})
    assert NO_KEY == sender_keys.of_envelope([])
