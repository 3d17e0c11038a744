"""Lists the files in class folders: which file may be a film of which class, and which files are left out.

Opens no file.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import Reason

#: Why a file is left out before it is decoded. The decoder's reasons are `worker.errors.Reason`.
DUPLICATE = "duplicate"  #: Another file of the class has the same content.
NO_CLASS = "no_class"  #: It is beside the class folders, not in one of them.
NAME_NOT_UTF8 = "name_not_utf8"  #: A report could not print its name.


class DatasetError(Exception):
    """The data cannot be used for training or evaluation. The message says why."""


@dataclass(frozen=True)
class LeftOut:
    """A file that is not a readable film."""

    name: str
    reason: str


@dataclass(frozen=True)
class FilmFile:
    """A file that may be a film."""

    path: Path
    #: Path below the data folder, with forward slashes.
    name: str
    #: Index into the classes.
    label: int


@dataclass(frozen=True)
class Listing:
    """The files in class folders, sorted by class and name."""

    files: tuple[FilmFile, ...]
    left_out: tuple[LeftOut, ...] = ()


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the sorted names of the folders in a folder, without hidden ones.

    Raises:
        DatasetError: the folder cannot be listed, or a name is not UTF-8.
    """
    names = tuple(path.name for path in _entries(folder) if holds(path.is_dir))
    for name in names:
        if not _is_utf8(name):
            raise DatasetError(f"{folder} has a folder whose name is not UTF-8: {printable(name)}")
    return names


def list_films(folder: Path, root: Path, classes: Sequence[str]) -> Listing:
    """Return the files in the class folders of `root` and in the folders below them.

    Hidden files and folders are passed over, and links to folders are not followed.

    Args:
        folder: the data folder; names are paths below it.
        root: contains the class folders.
        classes: the allowed classes.

    Raises:
        DatasetError: a folder has the name of no class or cannot be listed, or a file has the name of a class.
    """
    present = class_folders(root)
    if strange := sorted(set(present) - set(classes)):
        raise DatasetError(f"{root} holds {', '.join(strange)}; the classes are {', '.join(classes)}")
    for name in classes:
        if name not in present and (holds((root / name).is_symlink) or holds((root / name).exists)):
            raise DatasetError(f"{root / name} is not a folder, but a class has that name")
    files, left_out = [], []
    for class_name in present:
        for path in _files_below(root / class_name):
            name = printable(path.relative_to(folder).as_posix())
            if not _is_utf8(str(path.relative_to(root))):
                left_out.append(LeftOut(name, NAME_NOT_UTF8))
            elif not holds(path.is_file):  # A socket, or a link that is broken, circular or leads to a folder.
                left_out.append(LeftOut(name, Reason.NOT_READABLE.value))
            else:
                files.append(FilmFile(path, name, classes.index(class_name)))
    return Listing(tuple(files), tuple(left_out))


def strays(folder: Path, root: Path) -> tuple[LeftOut, ...]:
    """Return the files beside the class folders of `root`, which have no class; names are paths below `folder`."""
    return tuple(
        LeftOut(printable(path.relative_to(folder).as_posix()), NO_CLASS)
        for path in _entries(root)
        if not holds(path.is_dir)
    )


def holds(check: Callable[[], bool]) -> bool:
    """Return the result of a check of a path, or False if the path cannot be read."""
    try:
        return check()
    except OSError:
        return False


def printable(name: str) -> str:
    """Return a file's name with every byte that is not UTF-8 replaced by its hexadecimal escape."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_utf8(name: str) -> bool:
    return printable(name) == name


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield what is no folder in a folder and, sorted, in the folders below it, without hidden ones."""
    for path in _entries(folder):
        if holds(path.is_dir) and not path.is_symlink():
            yield from _files_below(path)
        else:
            yield path


def _entries(folder: Path) -> list[Path]:
    """Return the sorted entries of a folder, without hidden ones."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{printable(str(folder))}: {error.strerror}") from error
