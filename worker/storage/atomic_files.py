"""Files and folders that appear whole or not at all, however the process or the machine ends.

Each is written under another name in the same folder, flushed to disk, and renamed. Then the folder is flushed, too:
without that, a power cut may lose a name that the database refers to already.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: How the names of unfinished files begin.
STAGING = ".staging-"


def write(target: Path, data: bytes | memoryview) -> None:
    """Write or replace a file; when this returns, it is on the disk."""
    with replacing(target) as staging:
        staging.write_bytes(data)


@contextlib.contextmanager
def replacing(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield the path of a new, empty file, which becomes `target` at the end, or is removed after an error.

    Only this user can read it, since it may hold a film.

    Args:
        target: where the file shall be; its folder is made if it is missing.
        durable: whether to wait until it is on the disk. False for a file that can be made again, such as a preview:
            after a power cut it may be missing or cut short.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=STAGING, dir=target.parent)
    os.close(descriptor)
    staging = Path(name)
    try:
        yield staging
        if durable:
            _flush(staging)
        staging.replace(target)
        if durable:
            _flush(target.parent)
    finally:
        staging.unlink(missing_ok=True)


def rename_directory(finished: Path, target: Path) -> None:
    """Give a finished directory its name; when this returns, it is on the disk with all its files.

    Args:
        finished: in the same file system as `target`.
        target: a path where nothing is, or an empty directory, which is replaced.

    Raises:
        OSError: `target` is a file, or a directory that holds files.
    """
    for path in (*finished.rglob("*"), finished):
        _flush(path)
    os.rename(finished, target)  # noqa: PTH104 - never replaces a directory that holds files
    _flush(target.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
