"""Sends objects by STOW-RS (DICOMweb), one request for each."""

import io
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from pydicom import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from worker.hospital.tls import context_for
from worker.hospital.verdicts import Answer, again, of_http, rest
from worker.inputs.bounded_json import loads
from worker.settings.destinations import StowDestination

TIMEOUT = urllib3.Timeout(connect=10, read=30)
#: The most of an answer that is read.
MAX_ANSWER_BYTES = 2**20
FAILED_SOP_SEQUENCE, FAILURE_REASON = "00081198", "00081197"


class WebChannel:
    """The studies of an archive's DICOMweb services."""

    def __init__(self, destination: StowDestination, pool: urllib3.PoolManager) -> None:
        """Keep the destination and its connections."""
        self._url = f"{str(destination.url).rstrip('/')}/studies"
        self._authorization = destination.authorization
        self._pool = pool

    def report_class(self) -> UID:
        """Return the class of reports; an archive says whether it takes one when it has it."""
        return Comprehensive3DSRStorage

    def send(self, dataset: Dataset) -> Answer:
        """Send one object and return the verdict on the answer."""
        boundary = uuid.uuid4().hex
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
            "User-Agent": "Thoraq",
        }
        if self._authorization:
            headers["Authorization"] = self._authorization.get_secret_value()
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=_body(dataset, boundary),
                headers=headers,
                redirect=False,
                preload_content=False,
            )
            said = answer.read(MAX_ANSWER_BYTES)
            answer.release_conn()
        except HTTPError as error:
            return rest("certificate") if _is_certificate(error) else again("no_connection")
        return of_http(answer.status, _failures(said))


@contextmanager
def open_web(destination: StowDestination) -> Iterator[WebChannel]:
    """Yield the DICOMweb services of an archive.

    Raises:
        NotConfigured: a file of the destination cannot be read.
    """
    context = context_for(destination) if destination.url.scheme == "https" else None
    with urllib3.PoolManager(retries=False, timeout=TIMEOUT, ssl_context=context) as pool:
        yield WebChannel(destination, pool)


def _body(dataset: Dataset, boundary: str) -> bytes:
    """Return the object as the only part of a multipart body (RFC 2387)."""
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return head + file.getvalue() + f"\r\n--{boundary}--\r\n".encode()


def _is_certificate(error: HTTPError) -> bool:
    reason = (error.reason if isinstance(error, MaxRetryError) else None) or error
    return isinstance(reason, SSLError) or isinstance(reason.__cause__, ssl.SSLError)


def _failures(said: bytes) -> list[int | None]:
    """Return the reasons in FailedSOPSequence of a Store Instances Response; an empty list if it names none."""
    try:
        items: Any = loads(said)[FAILED_SOP_SEQUENCE]["Value"]  # type: ignore[index]
        return [_reason(item) for item in items]
    except (ValueError, KeyError, TypeError):
        return []


def _reason(item: dict[str, Any]) -> int | None:
    try:
        return int(item[FAILURE_REASON]["Value"][0])
    except (ValueError, KeyError, TypeError, IndexError):
        return None
