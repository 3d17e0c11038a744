"""Reads files in class folders as arrays, with the worker's decoder, so that training and scoring see the same pixels.

Files that are not films are left out and listed with their reason. Writes nothing to disk.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_training.data.class_folders import DatasetError, FilmFile, LeftOut, Listing
from worker.decoding import Grey, Limits, decode, resize
from worker.errors import Reason, RejectedImage
from worker.settings import settings

Labels = npt.NDArray[np.int64]
Size = tuple[int, int]
#: Called with (files read, all files) after each file.
OnFilm = Callable[[int, int], None]

#: Number of files per thread that are decoded ahead; limits the memory of films that wait for their place.
FILES_PER_THREAD = 16


@dataclass(frozen=True)
class Reading:
    """The result of reading one file."""

    #: SHA-256 of the content, in hexadecimal; empty if the file could not be opened.
    sha256: str
    #: Why it is not a film; None for a film.
    reason: str | None
    #: uint8, shape (height, width); None if there is a reason.
    film: Grey | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Films:
    """Films of one split, in the order of their names."""

    #: uint8, shape (n, height, width); read-only if mapped from a file.
    pixels: Grey
    #: Index into the classes, shape (n,).
    labels: Labels
    #: Paths below the data folder, with forward slashes.
    names: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    #: SHA-256 of each file, in hexadecimal.
    sha256: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.names)

    def select(self, rows: Sequence[int], left_out: Sequence[LeftOut]) -> "Films":
        """Return the films of these rows, with `left_out` added to the files that are left out."""
        return Films(
            pixels=self.pixels[rows],
            labels=self.labels[rows],
            names=tuple(self.names[row] for row in rows),
            left_out=(*self.left_out, *left_out),
            sha256=tuple(self.sha256[row] for row in rows) if self.sha256 else (),
        )


def ignore(_done: int, _total: int) -> None:
    """Ignore the number of films that are read."""


def read_films(listing: Listing, size: Size, on_film: OnFilm = ignore) -> Films:
    """Read listed files for an evaluation.

    The films are kept in memory only, so that an evaluation leaves no copy of them.

    Args:
        listing: the files and their classes.
        size: height and width in pixels to which every film is resized.
        on_film: called with the number of files read and of all files.

    Raises:
        DatasetError: no file is a readable film.
    """
    pixels = np.empty((len(listing.files), *size), np.uint8)
    readable: list[tuple[FilmFile, Reading]] = []
    left_out = list(listing.left_out)
    for file, reading in zip(
        listing.files, readings([file.path for file in listing.files], size, on_film), strict=True
    ):
        if reading.film is None:
            left_out.append(LeftOut(file.name, str(reading.reason)))
        else:
            pixels[len(readable)] = reading.film
            readable.append((file, reading))
    if not readable:
        raise DatasetError("there is no readable film")
    return Films(
        pixels=pixels[: len(readable)],
        labels=np.array([file.label for file, _ in readable], np.int64),
        names=tuple(file.name for file, _ in readable),
        left_out=tuple(left_out),
        sha256=tuple(reading.sha256 for _, reading in readable),
    )


def readings(paths: Sequence[Path], size: Size, on_film: OnFilm) -> Iterator[Reading]:
    """Yield the result of reading each file, in order. Threads decode, because the decoders release the GIL.

    Only a few files per thread are in memory at once.

    Args:
        paths: the files.
        size: height and width in pixels to which every film is resized.
        on_film: called with the number of files read and of all files.

    Raises:
        DatasetError: a file has disappeared, or its file system fails.
    """
    limits = limits_in_force()
    cores = os.cpu_count() or 1
    window = cores * FILES_PER_THREAD
    with ThreadPoolExecutor(cores) as threads:
        for start in range(0, len(paths), window):
            part = paths[start : start + window]
            for done, reading in enumerate(threads.map(lambda path: _read_one(path, size, limits), part), start + 1):
                yield reading
                on_film(done, len(paths))


def limits_in_force() -> Limits:
    """Return the worker's limits for one file."""
    return Limits(settings().max_file_bytes, settings().max_pixels)


def _read_one(path: Path, size: Size, limits: Limits) -> Reading:
    """Return the content's SHA-256 and the resized film, or why it is not a film."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)  # One byte more than allowed is enough to reject the file.
    except PermissionError:
        return Reading("", Reason.NOT_READABLE.value)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    try:
        return Reading(digest, None, resize(decode(data, limits), size))
    except RejectedImage as rejection:
        return Reading(digest, rejection.reason.value)


def reasons_of(left_out: Sequence[LeftOut]) -> dict[str, int]:
    """Return how many files were left out for each reason."""
    return dict(Counter(entry.reason for entry in left_out))
