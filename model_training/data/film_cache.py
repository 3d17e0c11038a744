"""The cache of decoded films: files are decoded once, and later runs map the pixels into memory without opening them.

The name of a set is the SHA-256 of everything that determines its pixels, so that changed films get another set.
`decoded_sets` stores the sets.
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

#: Version of the sets' format, part of their names.
FORMAT = "films-1"


def decode(files: Sequence[tuple[str, Path]], size: Size, on_film: OnFilm = ignore) -> Decoded:
    """Return the films of files, from the cache if the files have not changed since they were decoded.

    A set with files that could not be opened is not stored, because a change of rights leaves no trace in the file.

    Args:
        files: name and path of each. The cache uses the name and ignores the path, so that a folder may move.
        size: height and width in pixels to which every film is resized.
        on_film: called with the number of files read and of all files.

    Raises:
        DatasetError: a file disappears or changes while it is read, or the cache cannot be written.
    """
    key = _key_of(files, size)
    cached = decoded_sets.load(key)
    if cached is not None:
        on_film(len(files), len(files))
        return cached
    without_pixels: list[Reading] = []

    def films() -> Iterator[Grey]:
        for reading in readings([path for _, path in files], size, on_film):
            without_pixels.append(Reading(reading.sha256, reading.reason))
            if reading.film is not None:
                yield reading.film

    with decoded_sets.staging_folder() as staging:
        decoded = decoded_sets.write(staging, key, size, films(), without_pixels)
        if _key_of(files, size) != key:
            raise DatasetError("files changed while they were read; run it again when no process writes to the folder")
        if all(reading.sha256 for reading in without_pixels):  # Empty if the file could not be opened.
            decoded_sets.publish(staging, key)
    return decoded


def regroup(source: Decoded, parts: Sequence[Rows]) -> list[Grey]:
    """Return parts of a set's pixels, each given by its rows.

    The parts are views if the rows are already contiguous; otherwise they are stored as a set of their own.

    Raises:
        DatasetError: the cache cannot be written.
    """
    if all(np.array_equal(rows, np.arange(len(rows)) + rows[:1]) for rows in parts):
        return [source.pixels[rows[0] : rows[0] + len(rows)] if len(rows) else source.pixels[:0] for rows in parts]
    rows = np.concatenate(parts).astype("<i8")
    key = hashlib.sha256(source.pixels_sha256.encode() + rows.tobytes()).hexdigest()
    decoded = decoded_sets.load(key)
    if decoded is None:
        _, height, width = source.pixels.shape
        with decoded_sets.staging_folder() as staging:
            decoded = decoded_sets.write(staging, key, (height, width), (source.pixels[row] for row in rows), ())
            decoded_sets.publish(staging, key)
    return np.split(decoded.pixels, np.cumsum([len(rows) for rows in parts])[:-1])


def cache_films(films: Iterable[Grey], contents: Sequence[str], size: Size) -> Grey:
    """Return decoded films stored as one set of the cache: uint8, shape (n, height, width), mapped and read-only.

    Args:
        films: uint8, shape (height, width) each; not read if the cache has the set.
        contents: SHA-256 of each film's file, which determines its pixels together with the size.
        size: height and width in pixels.

    Raises:
        DatasetError: the cache cannot be written.
    """
    origin = repr((FORMAT, PREPROCESSING, pillow_version, limits_in_force(), size, tuple(contents)))
    key = hashlib.sha256(origin.encode()).hexdigest()
    decoded = decoded_sets.load(key)
    if decoded is None:
        with decoded_sets.staging_folder() as staging:
            decoded = decoded_sets.write(staging, key, size, films, ())
            decoded_sets.publish(staging, key)
    return decoded.pixels


def _key_of(files: Sequence[tuple[str, Path]], size: Size) -> str:
    """Return the SHA-256 over everything that determines the pixels.

    It includes the time of the last change to a file's status, which no program can set back. A file that was replaced
    by another one of the same name, size and modification time is therefore noticed.
    """
    digest = hashlib.sha256(repr((FORMAT, PREPROCESSING, pillow_version, limits_in_force(), size)).encode())
    for name, path in files:
        try:
            status = path.stat()
            stamp: tuple[int, ...] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError as error:
            stamp = (error.errno or -1,)
        digest.update(repr((name, stamp)).encode())
    return digest.hexdigest()
