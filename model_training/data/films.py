"""Files in class folders become arrays, read by the worker's own decoder: no skew between training and scoring.

What is no film is listed with its reason and left out, never silently. Knows no splits, and keeps nothing on disk.
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

from model_training.data.class_folders import DatasetError, FilmFile, LeftOut, listed
from worker.decoding import Grey, Limits, decode, resize
from worker.errors import Reason, RejectedImage
from worker.settings import settings

Labels = npt.NDArray[np.int64]
Size = tuple[int, int]
#: Told (files read, files in all) after each file.
OnFilm = Callable[[int, int], None]

#: So many files a thread are under way at once: what memory the films between file and array may take.
FILES_PER_THREAD = 16


@dataclass(frozen=True)
class Reading:
    """What one file turned out to be."""

    #: Of the content, hexadecimal; empty where the file could not be opened.
    sha256: str
    #: Why it is no film; None for a film.
    reason: str | None
    #: uint8, shape (height, width); None where there is a reason.
    film: Grey | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Films:
    """Films of one split, in the order of their names."""

    #: uint8, shape (n, height, width); may be mapped from a file, and then is read-only.
    pixels: Grey
    #: Index into the classes, shape (n,).
    labels: Labels
    #: Paths below the data folder, with forward slashes.
    names: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    #: Per film, hexadecimal.
    sha256: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.names)

    def some(self, rows: Sequence[int], left_out: Sequence[LeftOut]) -> "Films":
        """Return the films of these rows; the others are named in `left_out`."""
        return Films(
            pixels=self.pixels[rows],
            labels=self.labels[rows],
            names=tuple(self.names[row] for row in rows),
            left_out=(*self.left_out, *left_out),
            sha256=tuple(self.sha256[row] for row in rows) if self.sha256 else (),
        )


def ignore(_done: int, _total: int) -> None:
    """Take no note of how many films are read."""


def read_class_folders(folder: Path, classes: Sequence[str], size: Size, on_film: OnFilm = ignore) -> Films:
    """Read a folder of class folders, or its split `test` where it has one, for an evaluation.

    The films live in memory alone: an evaluation leaves no copy of them behind.

    Args:
        folder: what to read.
        classes: the model's classes; the folder may hold fewer, not others.
        size: height and width in pixels to which every film is resized.
        on_film: told after each file how many of how many are read.

    Raises:
        DatasetError: there is no such folder, no film, or a class that the model does not know.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder")
    root = folder / "test" if (folder / "test").is_dir() else folder
    found = listed(folder, root, classes)
    pixels = np.empty((len(found.files), *size), np.uint8)
    kept: list[tuple[FilmFile, Reading]] = []
    left_out = list(found.left_out)
    for file, reading in zip(found.files, readings([file.path for file in found.files], size, on_film), strict=True):
        if reading.film is None:
            left_out.append(LeftOut(file.name, str(reading.reason)))
        else:
            pixels[len(kept)] = reading.film
            kept.append((file, reading))
    if not kept:
        raise DatasetError(f"{root} has no readable film")
    return Films(
        pixels=pixels[: len(kept)],
        labels=np.array([file.label for file, _ in kept], np.int64),
        names=tuple(file.name for file, _ in kept),
        left_out=tuple(left_out),
        sha256=tuple(reading.sha256 for _, reading in kept),
    )


def readings(paths: Sequence[Path], size: Size, on_film: OnFilm) -> Iterator[Reading]:
    """Yield what each file is, in order, decoded in threads: the decoders release the interpreter's lock.

    Memory holds the films of a few files a thread at once, however many there are.

    Args:
        paths: the files.
        size: height and width in pixels to which every film is resized.
        on_film: told after each file how many of how many are read.

    Raises:
        DatasetError: a file is gone, or its file system fails.
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
    """Return what one file may cost, as the worker has it."""
    return Limits(settings().max_file_bytes, settings().max_pixels)


def _read_one(path: Path, size: Size, limits: Limits) -> Reading:
    """Return the content's SHA-256 and the resized film, or why it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)  # One more than allowed suffices to reject it.
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
