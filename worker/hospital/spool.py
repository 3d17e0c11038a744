"""The spool: what was answered with success and is not in the ledger yet, one durable file for each instance.

Each file is one line of JSON, then the film. It is written beside its name, flushed, and renamed; then the folder is
flushed, too. Its name follows from its content, so an instance that is sent again has the same file.
"""

import contextlib
import hashlib
import os
import shutil
import threading
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from worker.errors import ScoringError
from worker.storage import atomic_files

#: The folder for files that cannot be read or stored; a person has to look at them.
UNREADABLE = "unreadable"


class UnreadableSpoolFile(ScoringError):
    """A file of the spool is not one that a receiver wrote."""


class Arrived(BaseModel):
    """What is known of an instance that arrived. Names are in the sealed identity alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    #: The called AE title, and what its door said when the instance arrived.
    door: str
    source: str
    priority: Literal["urgent", "routine", "offpeak"]
    silence_seconds: float
    calling_ae: str
    received_at: datetime
    study_instance_uid: str
    series_instance_uid: str | None
    sop_instance_uid: str
    sop_class_uid: str
    accession_number: str | None
    accession_issuer: str | None
    patient_key: str | None
    #: The SHA-256 of the film; None for an instance that is set aside.
    film_sha256: str | None
    #: CMS EnvelopedData; None if no certificate is configured, or nothing is kept.
    identity: bytes | None
    #: HMAC-SHA256 of the identity: two are equal exactly if the identities are.
    identity_mac: str

    def name(self) -> str:
        """Return the name of its file: the same for the same instance with the same film and identity."""
        parts = (self.door, self.sop_instance_uid, self.film_sha256 or "", self.identity_mac)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class Usage(NamedTuple):
    """What lies in the spool."""

    files: int
    bytes: int


class Spool:
    """The folder of a receiver's spool. Threads may write at the same time; one thread takes files out."""

    def __init__(self, directory: Path, *, reserve_bytes: int, limit_bytes: int) -> None:
        """Make the folder, and remove what a killed process left half written.

        Args:
            directory: the folder.
            reserve_bytes: the spool is full while its file system has fewer bytes free.
            limit_bytes: the spool is full while it holds more bytes.
        """
        self._directory, self._reserve, self._limit = directory, reserve_bytes, limit_bytes
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for staging in directory.glob(f"{atomic_files.STAGING}*"):
            staging.unlink()
        self._lock = threading.Lock()
        self._usage = Usage(0, 0)
        #: Set when a file was written.
        self.written = threading.Event()
        self.waiting()

    def write(self, arrived: Arrived, film: bytes) -> None:
        """Store an instance; when this returns, it is on the disk.

        Raises:
            OSError: the disk is full or fails.
        """
        data = arrived.model_dump_json().encode() + b"\n" + film
        atomic_files.write(self._directory / arrived.name(), data)
        with self._lock:
            self._usage = Usage(self._usage.files + 1, self._usage.bytes + len(data))
        self.written.set()

    def is_full(self) -> bool:
        """Return whether nothing more is taken for now."""
        return self._usage.bytes > self._limit or shutil.disk_usage(self._directory).free < self._reserve

    def usage(self) -> Usage:
        """Return how much waited in it at the last listing, and what was written since."""
        return self._usage

    def waiting(self) -> list[Path]:
        """Return the files in the order of their writing."""
        found = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith(atomic_files.STAGING) or not entry.is_file():
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat()
                    found.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
        with self._lock:
            self._usage = Usage(len(found), sum(size for _, size, _ in found))
        return [path for _, _, path in sorted(found)]

    def read(self, path: Path) -> tuple[Arrived, bytes]:
        """Return the instance in a file, and its film.

        Raises:
            UnreadableSpoolFile: the file is not as a receiver writes it.
        """
        line, _, film = path.read_bytes().partition(b"\n")
        try:
            arrived = Arrived.model_validate_json(line)
        except ValidationError as error:
            raise UnreadableSpoolFile("a file of the spool has no readable first line") from error
        if arrived.film_sha256 and hashlib.sha256(film).hexdigest() != arrived.film_sha256:
            raise UnreadableSpoolFile("a file of the spool does not hold its film")
        return arrived, film

    def remove(self, path: Path) -> None:
        """Remove a file whose instance is in the ledger."""
        path.unlink(missing_ok=True)

    def put_aside(self, path: Path) -> None:
        """Move a file that can never be stored out of the way."""
        aside = self._directory / UNREADABLE
        aside.mkdir(mode=0o700, exist_ok=True)
        path.replace(aside / path.name)
