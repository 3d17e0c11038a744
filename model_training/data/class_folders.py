"""Files in class folders, by name alone: what may be a film of which class, and what is left out unread.

Knows no pixels and no splits.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import Reason

#: Why a file is left out that the decoder never judged; the decoder's own reasons are `worker.errors.Reason`.
DUPLICATE = "duplicate"  #: Its content lies in the same class already.
NO_CLASS = "no_class"  #: It lies beside the class folders, not in one of them.
NAME_NOT_UTF8 = "name_not_utf8"  #: No report could name it.


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
