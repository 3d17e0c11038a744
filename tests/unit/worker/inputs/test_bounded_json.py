"""JSON of senders: what is read, and what is refused before it costs memory or time."""

import json
import time
import tracemalloc

import pytest

from worker.inputs import bounded_json
from worker.inputs.bounded_json import MAX_BYTES, MAX_DEPTH, MAX_VALUES, OversizedJson, UnreadableJson, loads
from worker.submissions.envelope import MAX_ITEMS


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        'a, b [c] {d} " \\ \N{GRINNING FACE}',
        [1, -1.5, 1e300, True, None, {"a": [{"b": "c"}]}],
        {"": {"": []}},
        12345678901234567890123,
    ],
)  # fmt: skip
def test_every_value_is_read_as_it_was_written(value):
    assert value == loads(json.dumps(value).encode())
    assert value == loads(json.dumps(value, ensure_ascii=False).encode())


def test_a_byte_order_mark_is_ignored():
    assert {"a": 1} == loads(b'\xef\xbb\xbf{"a": 1}')


def test_the_largest_envelope_is_read():
    """All texts have their largest length."""
    uid = "1." + "2" * 62
    item = {
        "image": {"root": "r" * 64, "path": "p" * 1024, "sha256": "a" * 64},
        "study_instance_uid": uid, "series_instance_uid": uid, "sop_instance_uid": uid,
        "accession": {"number": "n" * 64, "issuer": "i" * 64}, "patient_key": "k" * 128, "reference": "f" * 512,
    }  # fmt: skip
    data = json.dumps({"schema": "cxr.score.request", "items": [item] * MAX_ITEMS}).encode()

    assert MAX_ITEMS == len(loads(data)["items"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1,]",
        b"nothing",
        b"[NaN]",
        b"[Infinity]",
        b'["\\ud800"]',
        b'["\xff"]',
        b'"a',
        b"{} {}",
        b"[" + b"9" * 5000 + b"]",
        '{"a": 1}'.encode("utf-16"),
        "[1]".encode("utf-16-le"),
    ],
)
def test_what_is_not_json_in_utf_8_is_unreadable_and_its_message_repeats_none_of_it(data):
    with pytest.raises(UnreadableJson) as caught:
        loads(data)

    assert not isinstance(caught.value, OversizedJson)
    assert "nothing" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"{}," * MAX_VALUES + b"{}]",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 10_000_000,
        b" " * (MAX_BYTES + 1),
        b'["' + b'\\"' * 1000 + b'",' + b"1," * MAX_VALUES + b"1]",
        b'"' * 10_000_000,
    ],
    ids=["values", "levels", "levels of objects", "levels that never end", "bytes", "values after quotes", "quotes"],
)
def test_what_is_too_large_is_refused_without_memory_for_it(data):
    tracemalloc.start()
    try:
        with pytest.raises(OversizedJson):
            loads(data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_characters_in_strings_do_not_count():
    """Neither after an escaped quote nor in a string that never ends."""
    text = '[{,"\\' * MAX_VALUES

    assert text == loads(json.dumps(text).encode())
    bounded_json.check(b'"' + b'\\"[[[[{{{{,' * MAX_VALUES)


@pytest.mark.parametrize("data", [b'"' + b'\\"' * 8_000_000, b'"' + b"\\\\" * 8_000_000 + b"\\", b"\\" * 16_000_000])
def test_a_string_that_never_ends_is_scanned_once(data):
    """A scan that began again at each quote would take hours."""
    began = time.process_time()

    with pytest.raises(UnreadableJson):
        loads(data)

    assert time.process_time() - began < 20
