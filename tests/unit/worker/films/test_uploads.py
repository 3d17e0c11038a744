"""Uploaded films: the bytes that are stored in the archive, and the memory that this takes."""

import hashlib
import io
import tracemalloc

import pytest

from worker.films.deidentification import deidentified
from worker.films.uploads import Upload, Zeros

LIMIT = 64 * 2**20
SYNTAX = b"1.2.840.10008.1.2.1\0"
#: The beginning of a DICOM file in explicit little endian.
META = bytes(128) + b"DICM\x02\x00\x10\x00UI" + len(SYNTAX).to_bytes(2, "little") + SYNTAX


def stored(tmp_path, film, limit=LIMIT):
    path, sha256 = Upload(film).store(tmp_path, limit)
    data = (tmp_path / path).read_bytes()
    assert sha256 == hashlib.sha256(data).hexdigest()
    return data


@pytest.mark.parametrize("film", [b"", b"x", b"\x89PNG" + bytes(3 * 2**20)])
def test_a_picture_is_stored_as_it_is(tmp_path, film):
    """It may be given as bytes or as an open file."""
    assert film == stored(tmp_path / "a", film)
    assert film == stored(tmp_path / "b", io.BytesIO(film))


def test_an_upload_can_be_read_again():
    """Its hash decides whether a request repeats an earlier one."""
    upload = Upload(b"x" * (2**20 + 1))

    assert [2**20, 1] == [len(piece) for piece in upload] == [len(piece) for piece in upload]


def test_a_dicom_file_over_the_limit_keeps_its_length_alone(tmp_path):
    """The worker rejects it by its length; the name of a patient in it is not stored."""
    film = bytes(128) + b"DICM" + b"DOE^JANE" * 1000

    assert bytes(len(film)) == stored(tmp_path, film, limit=1000)
    assert bytes(3 * 2**20 + 5) == b"".join(Zeros(3 * 2**20 + 5))


def test_a_large_dicom_file_lies_in_memory_once(tmp_path):
    """Its pixels are written from where they were read."""
    pixels = bytes(20 * 2**20)
    film = io.BytesIO(META + b"\xe0\x7f\x10\x00OB\0\0" + len(pixels).to_bytes(4, "little") + pixels)
    tracemalloc.start()
    try:
        data = stored(tmp_path, film)
        assert tracemalloc.get_traced_memory()[1] < 2.2 * len(pixels)  # The test reads it a second time.
    finally:
        tracemalloc.stop()
    assert data == deidentified(film.getvalue(), LIMIT)
    assert data.endswith(pixels)


def test_a_sequence_that_is_far_too_long_is_left_out(tmp_path):
    """Its items would lie in memory several times."""
    item = b"\xfe\xff\x00\xe0" + (2 * 2**20).to_bytes(4, "little") + bytes(2 * 2**20)
    film = META + b"\x28\x00\x00\x30SQ\0\0" + len(item).to_bytes(4, "little") + item

    assert len(stored(tmp_path, film)) < 1000
