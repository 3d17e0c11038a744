"""Real peers of the hospital door: DCMTK's sender and Orthanc, from Debian. They are run, never linked."""

import io
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dicom_films import FILM, dicom_file
from hospital_rig import wait_for
from pydicom import dcmread, dcmwrite

from worker.demo.embedded_redis import free_port

#: By absolute paths: pynetdicom installs programs of the same names.
DCMSEND, ECHOSCU, ORTHANC = "/usr/bin/dcmsend", "/usr/bin/echoscu", "/usr/sbin/Orthanc"
#: Without it, DCMTK and Orthanc wait for delayed acknowledgements.
PEER = {**os.environ, "TCP_NODELAY": "1"}

REPORT = re.compile(r"^SOP Instance  : (\S+)$.*?^DIMSE Status  : (0x\w+)", re.MULTILINE | re.DOTALL)


def need(*programs: str) -> None:
    """Skip the test where a program is missing; CI must have it."""
    for program in programs:
        if not shutil.which(program):
            if os.environ.get("CI"):
                pytest.fail(f"CI must have {program}")
            pytest.skip(f"{program} is not on this machine")


def send(port: int, *files: Path, report: Path, called: str = "THORAQ", calling: str = "PACS1") -> dict[str, str]:
    """Send files with dcmsend; return the status of each SOP Instance UID that was answered."""
    report.unlink(missing_ok=True)
    subprocess.run(
        [DCMSEND, "-aet", calling, "-aec", called, "-dn", "-nh", "+sd", "+crf", report, "-ta", "10", "-td", "60",
         "127.0.0.1", str(port), *files],
        env=PEER, capture_output=True, timeout=300,
    )  # fmt: skip
    # One instance ends before the next begins; one that has no answer has no status.
    found = {}
    for block in report.read_text().split("\n\n") if report.is_file() else ():
        if match := REPORT.search(block):
            found[match[1]] = match[2]
    return found


def write_films(folder: Path, number: int, *, per_study: int = 2, **attributes: object) -> dict[str, Path]:
    """Write drawn films, each with a SOP Instance UID and pixels of its own; return the file of each UID."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for index in range(number):
        pixels = FILM.copy()
        pixels[0, :4] = [index >> shift & 0xFF for shift in (0, 8, 16, 24)]
        study, uid = f"1.2.77.{index // per_study}", f"1.2.77.{index // per_study}.{index}"
        film = dicom_file(
            pixels, SOPInstanceUID=uid, StudyInstanceUID=study, SeriesInstanceUID=f"{study}.0", **attributes
        )
        dataset = dcmread(io.BytesIO(film))
        dataset.file_meta.MediaStorageSOPInstanceUID = uid
        files[uid] = folder / f"{index}.dcm"
        dcmwrite(files[uid], dataset)
    return files


class Pacs:
    """A running Orthanc."""

    def __init__(self, http_port: int) -> None:
        self._url = f"http://127.0.0.1:{http_port}"

    def call(self, path: str, data: bytes | None = None):
        with urllib.request.urlopen(urllib.request.Request(self._url + path, data=data), timeout=120) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def store(self, file: bytes) -> None:
        self.call("/instances", file)


@contextmanager
def orthanc(folder: Path, modalities: dict[str, list], **settings: object) -> Iterator[Pacs]:
    """Run Orthanc as the PACS with the AE title ORTHANC."""
    folder.mkdir(parents=True, exist_ok=True)
    http_port = free_port()
    configuration = {
        "Name": "PACS", "StorageDirectory": str(folder / "pacs"), "IndexDirectory": str(folder / "pacs"),
        "DicomAet": "ORTHANC", "DicomPort": free_port(), "HttpPort": http_port, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomModalities": modalities, "OverwriteInstances": True, **settings,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([ORTHANC, folder / "orthanc.json"], env=PEER, stdout=log, stderr=log)
    pacs = Pacs(http_port)

    def answers() -> bool:
        assert process.poll() is None, (folder / "orthanc.log").read_text()
        try:
            pacs.call("/system")
        except OSError:
            return False
        return True

    try:
        wait_for(answers, 60)
        yield pacs
    finally:
        process.terminate()
        process.wait(30)


def declare(deployment, folder: Path, **settings: str) -> int:
    """Give a deployment a door, keys and a free port for its receiver; return the port."""
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "pseudonym.key").write_bytes(os.urandom(32).hex().encode())
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=thoraq-sender",
         "-keyout", keys / "identity.key", "-out", keys / "identity.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    callers = {"PACS1": ["127.0.0.1"], "ORTHANC": ["127.0.0.1"]}
    doors = {"THORAQ": {"source": "pacs-north", "callers": callers, "silence_seconds": 3}}
    deployment.environment |= {
        "THORAQ_DOORS": json.dumps(doors),
        "THORAQ_RECEIVER_PORT": str(port),
        "THORAQ_RECEIVER_RESERVE_BYTES": "1000000",
        "THORAQ_PSEUDONYM_KEY": str(keys / "pseudonym.key"),
        "THORAQ_IDENTITY_CERTIFICATE": str(keys / "identity.pem"),
        **settings,
    }
    return port
