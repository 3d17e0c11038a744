"""Decoded films: files are decoded once, and every later run maps their pixels into memory and opens none of them.

A set bears the SHA-256 of all that its pixels follow from as its name, so what follows from something else is another
set. Knows neither classes nor splits, nor how a set lies on the disk.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import __version__ as pillow_version

from model_training.data import decoded_sets
from model_training.data.class_folders import DatasetError
from model_training.data.decoded_sets import Decoded
from model_training.data.films import OnFilm, Reading, Size, ignore, limits_in_force, readings
from worker.decoding import PREPROCESSING, Grey

Rows = npt.NDArray[np.int64]

#: Of the sets' layout; another layout, another name.
FORMAT = "films-1"


def decoded(files: Sequence[tuple[str, Path]], size: Size, on_film: OnFilm = ignore) -> Decoded:
    """Return the films of files, from the cache where they did not change since they were decoded.

    A set with files that could not be opened is not kept: rights change without a trace in the file.

    Args:
        files: name and path of each. The name counts for the cache, the path does not: a folder may move.
        size: height and width in pixels to which every film is resized.
        on_film: told how many of how many files are read.

    Raises:
        DatasetError: a file is gone or changes while it is read, or the cache cannot be written.
    """
    key = _key_of(files, size)
    known = decoded_sets.known(key)
    if known is not None:
        on_film(len(files), len(files))
        return known
    found: list[Reading] = []

    def films() -> Iterator[Grey]:
        for reading in readings([path for _, path in files], size, on_film):
            found.append(Reading(reading.sha256, reading.reason))
            if reading.film is not None:
                yield reading.film

    with decoded_sets.building() as staging:
        made = decoded_sets.seal(staging, key, size, films(), found)
        if _key_of(files, size) != key:
            raise DatasetError("files changed while they were read; run it again when nobody writes to the folder")
        if all(reading.sha256 for reading in found):  # Without one, the file could not be opened.
            decoded_sets.publish(staging, key)
    return made


def arranged(source: Decoded, parts: Sequence[Rows]) -> list[Grey]:
    """Return parts of a set's pixels, each given by its rows: views where they lie so, else of a set of their own.

    Raises:
        DatasetError: the cache cannot be written.
    """
    if all(np.array_equal(rows, np.arange(len(rows)) + rows[:1]) for rows in parts):
        return [source.pixels[rows[0] : rows[0] + len(rows)] if len(rows) else source.pixels[:0] for rows in parts]
    rows = np.concatenate(parts).astype("<i8")
    key = hashlib.sha256(source.pixels_sha256.encode() + rows.tobytes()).hexdigest()
    made = decoded_sets.known(key)
    if made is None:
        _, height, width = source.pixels.shape
        with decoded_sets.building() as staging:
            made = decoded_sets.seal(staging, key, (height, width), (source.pixels[row] for row in rows), ())
            decoded_sets.publish(staging, key)
    return np.split(made.pixels, np.cumsum([len(rows) for rows in parts])[:-1])


def cache_films(films: Iterable[Grey], contents: Sequence[str], size: Size) -> Grey:
    """Return decoded films as one set of the cache, uint8, shape (n, height, width), mapped and read-only.

    Args:
        films: uint8, shape (height, width) each; looked at only where the cache has no such set.
        contents: SHA-256 of each film's file: with the size, all that its pixels follow from.
        size: height and width in pixels.

    Raises:
        DatasetError: the cache cannot be written.
    """
    told = repr((FORMAT, PREPROCESSING, pillow_version, limits_in_force(), size, tuple(contents)))
    key = hashlib.sha256(told.encode()).hexdigest()
    made = decoded_sets.known(key)
    if made is None:
        with decoded_sets.building() as staging:
            made = decoded_sets.seal(staging, key, size, films, ())
            decoded_sets.publish(staging, key)
    return made.pixels


def _key_of(files: Sequence[tuple[str, Path]], size: Size) -> str:
    """Return the SHA-256 over all that the pixels follow from.

    The time of the last change to a file's status stands beside that of its content: nobody can set it back, so a file
    that was exchanged under its old name, size and time is noticed.
    """
    digest = hashlib.sha256(repr((FORMAT, PREPROCESSING, pillow_version, limits_in_force(), size)).encode())
    for name, path in files:
        try:
            status = path.stat()
            seen: tuple[int, ...] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError as error:
            seen = (error.errno or -1,)
        digest.update(repr((name, seen)).encode())
    return digest.hexdigest()
