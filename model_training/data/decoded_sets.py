"""Stores sets of decoded films: written under a temporary name, sealed with a hash, renamed, and mapped when used.

A set with its final name is complete, and its seal reveals later damage. The data directory's `cache/films` holds the
`KEPT_SETS` most recently used sets; a process keeps the pages of a set that another process removes.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict

from model_training.data.class_folders import DatasetError
from model_training.data.films import Reading, Size
from worker.decoding import Grey
from worker.settings import settings

logger = logging.getLogger(__name__)

#: A set of 17,000 films of 224 x 224 pixels has 0.9 GB.
KEPT_SETS = 6
PIXELS_FILE, INDEX_FILE = "films.npy", "index.json"
BUILDING = ".building-"


@dataclass(frozen=True)
class Decoded:
    """A set of decoded films."""

    #: uint8, read-only, shape (films, height, width), in the order of their files.
    pixels: Grey
    #: The result of reading each file, without pixels.
    readings: tuple[Reading, ...]
    #: SHA-256 of the file with the pixels, in hexadecimal.
    pixels_sha256: str


class _Index(BaseModel):
    """Describes the pixels of a set, and has the hash that reveals damage."""

    model_config = ConfigDict(frozen=True)

    key: str
    shape: tuple[int, int, int]
    pixels_sha256: str
    #: (SHA-256 of the content, why it is not a film) for each file.
    readings: tuple[tuple[str, str | None], ...]

    @property
    def seal(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class _Sealed(BaseModel):
    index: _Index
    seal: str


def directory() -> Path:
    """Return the folder of the sets."""
    return settings().data_dir / "cache" / "films"


def load(key: str) -> Decoded | None:
    """Return a set of the cache, or None if it is missing or damaged.

    Raises:
        DatasetError: the cache cannot be read.
    """
    folder = directory() / key
    try:
        text = (folder / INDEX_FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(error) from error
    with suppress(OSError, ValueError):
        sealed = _Sealed.model_validate_json(text)
        if sealed.seal == sealed.index.seal and sealed.index.key == key:
            decoded = _map(folder, sealed.index)
            os.utime(folder)
            return decoded
    logger.warning("a set of decoded films is damaged and is decoded again")
    return None


def _map(folder: Path, index: _Index) -> Decoded:
    """Map a set's pixels.

    Raises:
        OSError: they cannot be read.
        ValueError: they differ from the index.
    """
    path = folder / PIXELS_FILE
    if _sha256_of(path) != index.pixels_sha256:
        raise ValueError(path)
    pixels = np.lib.format.open_memmap(path, mode="r")
    if pixels.dtype != np.uint8 or pixels.shape != index.shape:
        raise ValueError(path)
    return Decoded(pixels, tuple(Reading(digest, reason) for digest, reason in index.readings), index.pixels_sha256)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_pixels(path: Path, films: Iterable[Grey], size: Size) -> tuple[int, int, int]:
    """Write films one after the other as an array, and return its shape.

    Plain writes fail with an error on a full disk; writing through a mapping would fail with a signal.
    """
    count = 0
    with path.open("wb") as file:
        _write_header(file, (0, *size))
        start = file.tell()
        for film in films:
            file.write(np.ascontiguousarray(film).data)
            count += 1
        file.seek(0)
        _write_header(file, (count, *size))
        # NumPy pads the header so that the first dimension can grow.
        if file.tell() != start:
            message = "the header of the array changed its length"
            raise RuntimeError(message)
    return count, *size


def _write_header(file: BinaryIO, shape: tuple[int, int, int]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def write(staging: Path, key: str, size: Size, films: Iterable[Grey], readings: Sequence[Reading]) -> Decoded:
    """Write a set and its seal, and map it.

    Args:
        staging: the folder to write to.
        key: the future name of the set.
        size: height and width of the films in pixels.
        films: uint8, shape (height, width) each.
        readings: results of reading the files; read after the last film.
    """
    shape = _write_pixels(staging / PIXELS_FILE, films, size)
    index = _Index(
        key=key,
        shape=shape,
        pixels_sha256=_sha256_of(staging / PIXELS_FILE),
        readings=tuple((reading.sha256, reading.reason) for reading in readings),
    )
    (staging / INDEX_FILE).write_text(_Sealed(index=index, seal=index.seal).model_dump_json())
    return _map(staging, index)


def _unusable(error: OSError) -> DatasetError:
    return DatasetError(f"the cache of films {directory()} cannot be used: {error.strerror}")


@contextmanager
def _locked(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on a folder. The system releases it when the process ends in any way.

    Raises:
        BlockingIOError: another process holds the lock, and `how` says not to wait.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staging_folder() -> Iterator[Path]:
    """Yield a folder for a new set. It is removed afterwards unless it was published; mapped pages stay usable.

    Folders of processes that were killed are removed: nobody holds their locks.

    Raises:
        DatasetError: the cache cannot be written.
    """
    home = directory()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home):
            for left in home.glob(f"{BUILDING}*"):
                with suppress(OSError), _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    shutil.rmtree(left)
            staging = Path(tempfile.mkdtemp(prefix=BUILDING, dir=home))
            held = os.open(staging, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield staging
        finally:
            os.close(held)
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise _unusable(error) from error


def publish(staging: Path, key: str) -> None:
    """Give a finished set its name, replacing an older set of that name, and remove the least recently used sets."""
    home = directory()
    with _locked(home):
        if (home / key).exists():
            shutil.rmtree(home / key)
        os.utime(staging)
        staging.rename(home / key)
        sets = [path for path in home.iterdir() if path.is_dir() and not path.name.startswith(BUILDING)]
        by_use = sorted(sets, key=lambda path: path.stat().st_mtime_ns)
        for path in by_use[:-KEPT_SETS]:
            shutil.rmtree(path)
