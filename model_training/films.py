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

from worker.decoding import Grey, Limits, decode, resize
from worker.errors import Reason, RejectedImage
from worker.settings import settings

Labels = npt.NDArray[np.int64]
Size = tuple[int, int]
#: Told (files read, files in all) after each file.
OnFilm = Callable[[int, int], None]

#: Why a file is left out that the decoder never judged; the decoder's own reasons are `worker.errors.Reason`.
DUPLICATE = "duplicate"  #: Its content lies in the same class already.
NO_CLASS = "no_class"  #: It lies beside the class folders, not in one of them.
NAME_NOT_UTF8 = "name_not_utf8"  #: No report could name it.
#: So many files a thread are under way at once: what memory the films between file and array may take.
FILES_PER_THREAD = 16


class DatasetError(Exception):
    """The folder cannot be trained on, or evaluated on, as it is."""


@dataclass(frozen=True)
class LeftOut:
    """A file that is no readable film."""

    name: str
    reason: str


@dataclass(frozen=True)
class FilmFile:
    """A file that may be a film."""

    path: Path
    #: Its path below the data folder, with forward slashes.
    name: str
    #: Index into the classes.
    label: int


@dataclass(frozen=True)
class Listing:
    """What lies in class folders, sorted by class and name."""

    files: tuple[FilmFile, ...]
    left_out: tuple[LeftOut, ...] = ()


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


def read_labelled(folder: Path, classes: Sequence[str], size: Size, on_film: OnFilm = ignore) -> Films:
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


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder, sorted; hidden ones are not looked at.

    Raises:
        DatasetError: the folder cannot be listed, or a name is not UTF-8.
    """
    names = tuple(path.name for path in _entries(folder) if holds(path.is_dir))
    for name in names:
        if not _is_utf8(name):
            raise DatasetError(f"{folder} has a folder whose name is not UTF-8: {printable(name)}")
    return names


def listed(folder: Path, root: Path, classes: Sequence[str]) -> Listing:
    """Return every file in the class folders of `root`, named below `folder`; folders in them are not entered.

    Raises:
        DatasetError: a folder is none of the classes, cannot be listed, or a file bears the name of a class.
    """
    found = class_folders(root)
    if strange := sorted(set(found) - set(classes)):
        raise DatasetError(f"{root} holds {', '.join(strange)}; the classes are {', '.join(classes)}")
    for name in classes:
        if name not in found and (holds((root / name).is_symlink) or holds((root / name).exists)):
            raise DatasetError(f"{root / name} is no folder, though a class has that name")
    files, left_out = [], []
    for class_name in found:
        for path in _entries(root / class_name):
            name = printable(path.relative_to(folder).as_posix())
            if not _is_utf8(path.name):
                left_out.append(LeftOut(name, NAME_NOT_UTF8))
            elif not holds(path.is_file):  # A folder, a socket, a link into nothing or round in a circle.
                left_out.append(LeftOut(name, Reason.NOT_READABLE.value))
            else:
                files.append(FilmFile(path, name, classes.index(class_name)))
    return Listing(tuple(files), tuple(left_out))


def strays(folder: Path, root: Path) -> tuple[LeftOut, ...]:
    """Return the files that lie beside the class folders of `root`, named below `folder`: they have no class."""
    return tuple(
        LeftOut(printable(path.relative_to(folder).as_posix()), NO_CLASS)
        for path in _entries(root)
        if not holds(path.is_dir)
    )


def holds(check: Callable[[], bool]) -> bool:
    """Return what a question about a path answers, or False where the path may not be asked."""
    try:
        return check()
    except OSError:
        return False


def printable(name: str) -> str:
    """Return a file's name in letters that can be printed: bytes that are not UTF-8 become their numbers."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_utf8(name: str) -> bool:
    return printable(name) == name


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted, without what is hidden."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{printable(str(folder))}: {error.strerror}") from error


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
