"""Stores uploaded films: a DICOM file without what identifies a patient, another file as it is."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from worker.films import archive
from worker.films.deidentification import DEFLATED, deidentified_pieces, may_identify
from worker.inputs.allowance import working_memory

PIECE_BYTES = 2**20
#: Where a file names its transfer syntax.
META_BYTES = 2**20
#: An inflated film lies in memory a second time: one after the other.
_inflating = threading.Lock()
#: As many as tell what a file is.
HEAD_BYTES = 132


class Upload:
    """One film as it was sent; it can be iterated again and again, in pieces of 1 MiB."""

    def __init__(self, film: bytes | BinaryIO) -> None:
        """Keep the bytes, or the open file, which is read from its beginning."""
        self._file = io.BytesIO(film) if isinstance(film, bytes) else film

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def store(self, archive_dir: Path, max_bytes: int) -> tuple[str, str]:
        """Store the film in the archive; return its path and the SHA-256 of what is stored.

        A DICOM file of more than `max_bytes`, which no worker reads, keeps its length and nothing else.

        Raises:
            NotStored: the disk is full, read-only or broken.
        """
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        if not may_identify(self._file.read(HEAD_BYTES)):
            return archive.put(self, archive_dir)
        if size > max_bytes:
            return archive.put(Zeros(size), archive_dir)
        with working_memory.take(size):
            self._file.seek(0)
            data = self._file.read(size)
            with _inflating if DEFLATED.encode() in data[:META_BYTES] else nullcontext():
                return archive.put(deidentified_pieces(data, max_bytes), archive_dir)


class Zeros:
    """A number of zero bytes, in pieces of 1 MiB."""

    def __init__(self, size: int) -> None:
        """Keep the number."""
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces."""
        for begin in range(0, self._size, PIECE_BYTES):
            yield bytes(min(PIECE_BYTES, self._size - begin))
