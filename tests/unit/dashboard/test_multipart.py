"""Multipart forms: their fields and files, and those that would take much memory or many files."""

import io
import tracemalloc
from pathlib import Path

import pytest
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.test import EnvironBuilder

from dashboard.multipart import MAX_FIELD_BYTES, MAX_FORM_BYTES, Request

HEAD = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'


def request(body: bytes, content_type: str = "multipart/form-data; boundary=b") -> Request:
    """Return a request with this body, outside any application."""
    return Request(EnvironBuilder(method="POST", input_stream=io.BytesIO(body), content_type=content_type,
                                  content_length=len(body)).get_environ())  # fmt: skip


def form(**fields: object) -> Request:
    """Return a request as a client sends it."""
    return Request(EnvironBuilder(method="POST", data=MultiDict(fields)).get_environ())


def test_fields_and_files_are_read_as_they_were_sent():
    """Names and texts are UTF-8; one file has the first characters of the boundary, and one is empty."""
    films = [(io.BytesIO(b"first\r\n--b"), "ä.png"), (io.BytesIO(b""), "empty.png"), (io.BytesIO(b"x" * 200_000), "c")]

    sent = form(priority="urgent", note="Müller", films=films)

    assert {"priority": "urgent", "note": "Müller"} == sent.form.to_dict()
    files = sent.files.getlist("films")
    assert ["ä.png", "empty.png", "c"] == [file.filename for file in files]
    assert [b"first\r\n--b", b"", b"x" * 200_000] == [file.stream.read() for file in files]
    sent.close()


def test_a_part_of_the_shared_file_is_a_file_of_its_own():
    """It can be read in pieces and from any position, and does not reach into the next part."""
    sent = form(films=[(io.BytesIO(b"first"), "a"), (io.BytesIO(b"second"), "b")])

    first, second = (file.stream for file in sent.files.getlist("films"))

    assert b"fir" == first.read(3)
    assert b"seco" == second.read(4)
    assert b"st" == first.read()
    assert 2 == second.seek(2)
    assert b"cond" == second.read(100)
    assert b"d" == (second.seek(-1, io.SEEK_END), second.read())[1]
    sent.close()


def test_nine_hundred_files_take_one_file_and_little_memory():
    """Werkzeug would keep each of them in memory or open a file for it."""
    part = HEAD % (b"films", b'; filename="a"') + b"x" * 50_000 + b"\r\n"
    body = part * 900 + b"--b--\r\n"
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    sent = request(body)
    tracemalloc.start()
    try:
        assert 900 == len(sent.files.getlist("films"))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before + 1
    sent.close()


FIELD = HEAD % (b"a", b"") + b"x" * 400_000 + b"\r\n"
NAMED = HEAD % (b"a", b'; filename="' + b"n" * 200_000 + b'"') + b"\r\n"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (FIELD * (MAX_FIELD_BYTES // 400_000 + 1) + b"--b--\r\n", None),
        (NAMED * (MAX_FIELD_BYTES // 200_000 + 1) + b"--b--\r\n", None),
        (HEAD % (b"a", b"") + b"x" * 2 * MAX_FIELD_BYTES + b"\r\n--b--\r\n", None),
        ((HEAD % (b"a", b"") + b"\r\n") * 1100 + b"--b--\r\n", None),
        (b"x" * 2 * MAX_FIELD_BYTES, None),
        (b"a=b&" * MAX_FORM_BYTES, "application/x-www-form-urlencoded"),
    ],
    ids=["fields", "names of files", "one field", "parts", "no boundary at all", "an ordinary form"],
)
def test_a_form_that_would_stay_in_memory_is_413(body, content_type):
    """Each field is within the bound of Werkzeug."""
    sent = request(body, content_type or "multipart/form-data; boundary=b")
    sent.max_form_parts = 1000

    with pytest.raises(RequestEntityTooLarge):
        sent.form  # noqa: B018 - it is read here


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (HEAD % (b"a", b'; filename="a"') + b"half of a film", "multipart/form-data; boundary=b"),
        (HEAD % (b"a", b"") + b"x\r\n--b", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"", "multipart/form-data; boundary=b"),
        (b"--b--\r\n", "multipart/form-data"),
        (b"--b--\r\n", "multipart/form-data; boundary=ä"),
    ],
)
def test_a_form_that_is_cut_short_or_malformed_is_400(body, content_type):
    """None of its parts is used."""
    with pytest.raises(BadRequest):
        request(body, content_type).files  # noqa: B018 - it is read here
