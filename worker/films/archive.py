"""Reads and stores the files of films: uploads in the archive, under their hash, and other files below named roots.

Callers name a root and a path below it. No path, however it is written, reaches a file outside its root.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from worker.errors import Reason, RejectedImage, TryAgainLater
from worker.films.timed_reads import timed_reader
from worker.storage import atomic_files, disk

MAX_PATH_CHARACTERS = 1024
#: How a folder is opened: where the system can, without leave to list it.
FOLDER = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)

#: Bytes in pieces, so that a film need not lie in memory whole.
Pieces = Iterable[bytes | memoryview]


def check_path(path: str) -> None:
    """Reject a path that is not plainly relative; intake calls this before it writes a row.

    Raises:
        RejectedImage: outside_root.
    """
    parts = PurePosixPath(path).parts
    if (
        not path
        or len(path) > MAX_PATH_CHARACTERS
        or "\0" in path
        or "\\" in path
        or path.startswith("/")
        or ".." in parts
    ):
        raise RejectedImage(Reason.OUTSIDE_ROOT, "the path is not a plain relative path below its root")


def place(content: Pieces) -> tuple[str, str]:
    """Return the path below the archive under which this content is stored, and its SHA-256."""
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    sha256 = digest.hexdigest()
    return f"{sha256[:2]}/{sha256}", sha256


def put(content: Pieces, archive_dir: Path) -> tuple[str, str]:
    """Store content under its hash; return the path below the archive, and the SHA-256.

    When this returns, it is on the disk.

    Args:
        content: the content in pieces, which can be iterated twice.
        archive_dir: the folder of the archive.

    Raises:
        NotStored: the disk is full, read-only or broken.
        TryAgainLater: the content changed meanwhile.
    """
    path, sha256 = place(content)
    target = archive_dir / path
    if not target.is_file():
        with disk.storing("the film"), atomic_files.replacing(target) as staging:
            _write(content, staging, sha256)
    return path, sha256


def _write(content: Pieces, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for piece in content:
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != sha256:
        raise TryAgainLater("the film changed while it was stored")


def read(root: str, path: str, roots: Mapping[str, Path], max_bytes: int) -> bytes:
    """Return the bytes of a file below a named root.

    Raises:
        RejectedImage: not_found, not_readable, outside_root or too_many_bytes.
        TryAgainLater: the root itself is missing, or the file system fails or does not answer.
    """
    return start_reading(root, path, roots, max_bytes)()


def read_verified(root: str, path: str, sha256: str, roots: Mapping[str, Path], max_bytes: int) -> bytes:
    """Return the bytes of a file whose SHA-256 is known.

    Raises:
        RejectedImage: as `read`, and checksum_mismatch if the file has changed.
        TryAgainLater: as `read`.
    """
    data = read(root, path, roots, max_bytes)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RejectedImage(Reason.CHECKSUM_MISMATCH, "the file is no longer the one that was scored")
    return data


def start_reading(root: str, path: str, roots: Mapping[str, Path], max_bytes: int) -> Callable[[], bytes]:
    """Start to read a file below a named root; return a function that waits for the bytes and raises as `read` does."""
    return timed_reader().begin(root, partial(_read, root, path, roots, max_bytes))


def _read(root: str, path: str, roots: Mapping[str, Path], max_bytes: int) -> bytes:
    check_path(path)
    if root not in roots:
        raise RejectedImage(Reason.OUTSIDE_ROOT, "the reference names a root that is not configured")
    try:
        base = roots[root].resolve(strict=True)
    except OSError as error:
        raise TryAgainLater(f"the root {root} is not there: is it mounted?") from error
    try:
        return _read_below(base, path, max_bytes)
    except PermissionError as error:
        _require_mounted(base, root)
        raise RejectedImage(Reason.NOT_READABLE, "the worker may not read the file") from error
    except FileNotFoundError as error:
        _require_mounted(base, root)
        raise RejectedImage(Reason.NOT_FOUND, "there is no such file below its root") from error
    except (OSError, RuntimeError) as error:
        # pathlib raises RuntimeError for a loop of links.
        if isinstance(error, RuntimeError) or error.errno in {errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}:
            raise RejectedImage(Reason.NOT_FOUND, "the path can name no file") from error
        raise TryAgainLater("the file system did not answer") from error


def _read_below(base: Path, path: str, max_bytes: int) -> bytes:
    target = (base / path).resolve(strict=True)
    if not target.is_relative_to(base):
        raise RejectedImage(Reason.OUTSIDE_ROOT, "the path leaves its root through a link")
    if not stat.S_ISREG(target.stat().st_mode):  # Opening a device may have effects.
        raise RejectedImage(Reason.NOT_READABLE, "the reference is not a regular file")
    with open(_opened(base, target), "rb") as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise RejectedImage(Reason.NOT_READABLE, "the reference is not a regular file")
        if before.st_size > max_bytes:
            raise RejectedImage(Reason.TOO_MANY_BYTES, f"{before.st_size} bytes; the limit is {max_bytes}")
        data = file.read(before.st_size)
        after = os.fstat(file.fileno())
    if (before.st_mtime_ns, before.st_size, before.st_size) != (after.st_mtime_ns, after.st_size, len(data)):
        raise TryAgainLater("the file was written while it was read")
    return data


def _opened(base: Path, target: Path) -> int:
    """Open a file whose links are resolved, and return its descriptor.

    Each folder is opened in the one above it, and no link is followed: whoever can write below the root could put one
    into the path after it was resolved.

    Raises:
        RejectedImage: outside_root; there is a link in the path now.
        OSError: as `open`.
    """
    *folders, name = target.relative_to(base).parts
    inside = os.open(base, FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=inside)
            os.close(inside)
            inside = below
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=inside)
    except OSError as error:
        # A link where a folder must be is no folder, and so ENOTDIR on Linux.
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise RejectedImage(Reason.OUTSIDE_ROOT, "a link was put into the path while it was read") from error
        raise
    finally:
        os.close(inside)


def _require_mounted(base: Path, root: str) -> None:
    """Tell a missing file from a missing mount: an empty or unreadable root is a mount point without its mount.

    Raises:
        TryAgainLater: the root is empty or cannot be read.
    """
    try:
        if next(base.iterdir(), None) is not None:
            return
    except OSError as error:
        raise TryAgainLater(f"the root {root} cannot be read") from error
    raise TryAgainLater(f"the root {root} is empty: is it mounted?")


def preview_path(previews_dir: Path, sha256: str) -> Path:
    """Return the path of the preview for the SHA-256 of a film's file."""
    return previews_dir / sha256[:2] / f"{sha256}.jpg"


def detail_path(previews_dir: Path, sha256: str) -> Path:
    """Return the path of the full-size picture, drawn at the first request, for the SHA-256 of a film's file."""
    return previews_dir / sha256[:2] / f"{sha256}-detail.jpg"
