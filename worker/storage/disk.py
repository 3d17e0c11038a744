"""The disk: which errors are its trouble and not a film's or a caller's, and whether it has room."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import NotStored

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
TROUBLE = FULL | {errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}
#: How much a probe writes: more than file systems keep beside a file's name.
PROBE_BYTES = 64 * 1024


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn every error of writing a file into one line.

    Raises:
        NotStored: the disk is full, read-only, broken, or closed to this process.
    """
    try:
        yield
    except OSError as error:
        raise NotStored(f"{what} cannot be stored: {explain(error)}", full=error.errno in FULL) from error


def explain(error: OSError) -> str:
    """Return what happened, without the path, which may name a film."""
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def existing(folder: Path) -> Path:
    """Return `folder`, or the nearest folder above it that exists."""
    return next((place for place in (folder, *folder.parents) if place.is_dir()), Path("/"))


def problem(folder: Path, min_free_bytes: int) -> str | None:
    """Return why a folder takes no more files, found by writing one that has no name; None if it takes them.

    Args:
        folder: it need not exist yet.
        min_free_bytes: with less free space, the disk counts as full.
    """
    place = existing(folder)
    try:
        free = shutil.disk_usage(place).free
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        return explain(error)
    return (
        f"{free // 2**20} MiB are free; fewer than {min_free_bytes // 2**20} count as full"
        if free < min_free_bytes
        else None
    )
