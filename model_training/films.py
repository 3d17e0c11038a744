"""Files in class folders become arrays, read by the worker's own decoder: no skew between training and scoring.

What is no film is listed with its reason and left out, never silently. Knows no splits.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.decoding import Grey, Limits, decode, resize
from worker.errors import RejectedImage
from worker.settings import settings

Labels = npt.NDArray[np.int64]
Size = tuple[int, int]
#: Told (files read, files in all) after each file.
OnFilm = Callable[[int, int], None]


class DatasetError(Exception):
    """The folder cannot be trained on, or evaluated on, as it is."""


@dataclass(frozen=True)
class LeftOut:
    """A file that is no readable film."""

    name: str
    reason: str


@dataclass(frozen=True)
class Films:
    """Films of one split, in the order of their names."""

    #: uint8, shape (n, height, width).
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


def ignore(_done: int, _total: int) -> None:
    """Take no note of how many films are read."""


def read_labelled(folder: Path, classes: Sequence[str], size: Size, on_film: OnFilm = ignore) -> Films:
    """Read a folder of class folders, or its split `test` where it has one, for an evaluation.

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
    films = films_of(folder, listed(root, classes), size, on_film)
    if not len(films):
        raise DatasetError(f"{root} has no readable film")
    return films


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder, sorted."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def listed(folder: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    """Return every file below the class folders with the index of its class, sorted by name.

    Raises:
        DatasetError: a folder is none of the classes.
    """
    found = class_folders(folder)
    if strange := sorted(set(found) - set(classes)):
        raise DatasetError(f"{folder} holds {', '.join(strange)}; the classes are {', '.join(classes)}")
    return [
        (path, classes.index(name))
        for name in found
        for path in sorted((folder / name).iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]


def films_of(folder: Path, files: Sequence[tuple[Path, int]], size: Size, on_film: OnFilm) -> Films:
    """Return the films of these files, decoded in threads: the decoders release the interpreter's lock.

    Args:
        folder: below which the films are named.
        files: each with the index of its class.
        size: height and width in pixels to which every film is resized.
        on_film: told after each file how many of how many are read.

    Raises:
        DatasetError: a file cannot be opened.
    """
    limits = Limits(settings().max_file_bytes, settings().max_pixels)
    kept: list[tuple[str, int, str, Grey]] = []
    left_out = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        readings = threads.map(lambda file: _read_one(file[0], size, limits), files)
        for done, ((path, label), (digest, film)) in enumerate(zip(files, readings, strict=True), start=1):
            name = path.relative_to(folder).as_posix()
            if isinstance(film, RejectedImage):
                left_out.append(LeftOut(name, film.reason.value))
            else:
                kept.append((name, label, digest, film))
            on_film(done, len(files))
    return Films(
        pixels=np.stack([film for *_, film in kept]) if kept else np.empty((0, *size), np.uint8),
        labels=np.array([label for _, label, *_ in kept], np.int64),
        names=tuple(name for name, *_ in kept),
        left_out=tuple(left_out),
        sha256=tuple(digest for _, _, digest, _ in kept),
    )


def _read_one(path: Path, size: Size, limits: Limits) -> tuple[str, Grey | RejectedImage]:
    """Return the content's SHA-256 and the resized film, or why it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    try:
        film: Grey | RejectedImage = resize(decode(data, limits), size)
    except RejectedImage as rejection:
        film = rejection
    return hashlib.sha256(data).hexdigest(), film


def reasons_of(left_out: Sequence[LeftOut]) -> dict[str, int]:
    """Return how many files were left out for each reason."""
    return dict(Counter(entry.reason for entry in left_out))
