"""Fixtures with real peers: programs of Debian's packages, run as they are. Skipped at home, required in CI."""

import os
from pathlib import Path

import pytest

#: By absolute path: pynetdicom installs programs of the same names as DCMTK's.
PROGRAMS = {
    "dciodvfy": Path("/usr/bin/dciodvfy"),
    "dsrdump": Path("/usr/bin/dsrdump"),
    "dcentvfy": Path("/usr/bin/dcentvfy"),
    "storescp": Path("/usr/bin/storescp"),
    "Orthanc": Path("/usr/sbin/Orthanc"),
}
PACKAGES = "orthanc orthanc-dicomweb dcmtk dicom3tools"


@pytest.fixture(scope="session")
def program():
    """Return a function that gives the path of a peer's program."""

    def path(name: str) -> str:
        if not PROGRAMS[name].is_file():
            missing = f"{name} is not installed: apt-get install --no-install-recommends {PACKAGES}"
            if os.environ.get("CI"):
                pytest.fail(missing)
            pytest.skip(missing)
        return str(PROGRAMS[name])

    return path


@pytest.fixture(scope="session")
def shared_dicom() -> Path:
    """Return the folder of shared DICOM files; absent on most machines, never in CI."""
    from deployment import CXR6

    folder = CXR6.parent / "dicom"
    if not (folder / "manifest.csv").is_file():
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {folder}")
        pytest.skip("the shared files are not on this machine")
    return folder
