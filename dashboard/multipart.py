"""Reads multipart forms: the memory that their fields take is bounded, and all their files share one temporary file.

Werkzeug bounds each field, so that 128 MB of fields stay in memory, and gives each of a thousand files one of its own.
"""

import contextlib
import io
import tempfile
from typing import IO, cast

import flask
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

#: Forms without files have a few hundred bytes.
MAX_FORM_BYTES = 256 * 1024
#: Fields and headers of a form with files. The identifiers of a thousand films fit.
MAX_FIELD_BYTES = 1024 * 1024
READ_BYTES = 64 * 1024

Form = tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]


class FormParser(FormDataParser):
    """Werkzeug's parser with our bounds."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> Form:
        """Return the stream, the fields and the files of a form; no field and no file for any other content.

        Raises:
            BadRequest: the form is malformed.
            RequestEntityTooLarge: it has too many parts, or its fields have too many bytes.
        """
        if mimetype == "application/x-www-form-urlencoded":
            if content_length is None or content_length > MAX_FORM_BYTES:
                raise RequestEntityTooLarge
            return super().parse(stream, mimetype, content_length, options)
        if mimetype != "multipart/form-data":
            return stream, self.cls(), self.cls()
        try:
            boundary = (options or {}).get("boundary", "").encode("ascii")
            return stream, *_Multipart(boundary, self.max_form_parts).read(stream)
        except ValueError:
            raise BadRequest("The form is not valid multipart/form-data.") from None


class Request(flask.Request):
    """A request whose forms are read under bounds."""

    form_data_parser_class = FormParser


class _Multipart:
    """One form while it is read."""

    def __init__(self, boundary: bytes, max_parts: int | None) -> None:
        """Read nothing yet.

        Raises:
            ValueError: there is no boundary.
        """
        if not boundary:
            raise ValueError("the boundary is missing")
        self._decoder = MultipartDecoder(boundary, MAX_FIELD_BYTES, max_parts=max_parts)
        self._fields: MultiDict[str, str] = MultiDict()
        self._files: MultiDict[str, FileStorage] = MultiDict()
        self._field_bytes = 0
        self._spool: IO[bytes] | None = None
        self._part: Field | File | None = None
        self._value = bytearray()
        self._file: PartOfFile | None = None

    def read(self, stream: IO[bytes]) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Return the fields and the files of a body.

        Raises:
            ValueError: it is malformed, or ends before its last boundary.
        """
        with contextlib.ExitStack() as unless_whole:
            unless_whole.callback(self._close)
            while not isinstance(event := self._decoder.next_event(), Epilogue):
                if isinstance(event, NeedData):
                    self._decoder.receive_data(stream.read(READ_BYTES) or None)
                else:
                    self._take(event)
            unless_whole.pop_all()
        return self._fields, self._files

    def _close(self) -> None:
        if self._spool:
            self._spool.close()

    def _take(self, event: Event) -> None:
        if isinstance(event, Field | File):
            self._part = event
            self._value.clear()
            self._count(sum(len(name) + len(value) for name, value in event.headers))
            self._file = self._new_file() if isinstance(event, File) else None
        elif isinstance(event, Data) and self._part:
            if self._file is not None:
                self._file.write(event.data)
            else:
                self._count(len(event.data))
                self._value += event.data
            if not event.more_data:
                self._finish(self._part)

    def _finish(self, part: Field | File) -> None:
        if isinstance(part, File) and self._file is not None:
            self._file.seek(0)
            self._files.add(
                part.name, FileStorage(cast("IO[bytes]", self._file), part.filename, part.name, headers=part.headers)
            )
        else:
            self._fields.add(part.name, self._value.decode("utf-8", "replace"))

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > MAX_FIELD_BYTES:
            raise RequestEntityTooLarge

    def _new_file(self) -> "PartOfFile":
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its parts
        return PartOfFile(self._spool)


class PartOfFile(io.RawIOBase):
    """A file that begins at the end of a shared one; it is written before the next part begins, and read later."""

    def __init__(self, shared: IO[bytes]) -> None:
        """Begin an empty part."""
        self._shared = shared
        self._begin = shared.seek(0, io.SEEK_END)
        self._size = self._place = 0

    def close(self) -> None:
        """Close the shared file; a request closes all its files at once."""
        self._shared.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True: as long as it is the last part."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Append bytes."""
        self._shared.seek(self._begin + self._size)
        self._shared.write(data)
        self._size += len(data)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or all that are left."""
        left = max(0, self._size - self._place)
        self._shared.seek(self._begin + self._place)
        data = self._shared.read(left if size < 0 else min(size, left))
        self._place += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read at most as many bytes as `buffer` has; return how many."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the place of reading; return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Return the place of reading."""
        return self._place
