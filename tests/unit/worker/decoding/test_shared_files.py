"""Every file of the shared folders of DICOM and awkward files has the outcome that its manifest expects."""

import csv
import json
import os
import threading

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from deployment import CXR6

from worker import cli
from worker.decoding import decode
from worker.errors import Reason, RejectedImage
from worker.models import directory
from worker.models.classifier import Classifier

FOLDERS = ("dicom", "awkward")
#: Files for which the manifest leaves the decision to Thoraq: docs/decisions/0020-films-and-formats.md has the reasons.
DECIDED = {"dicom/broken_png_named_dcm.dcm": "scorable"}
MEMORY_GROWTH_BYTES = 300 * 2**20
SAMPLING_SECONDS = 0.005
#: Correlations of grey values.
SAME, INVERTED = 0.99, -0.9


@pytest.fixture
def shared():
    """The folder that has these folders; most machines do not have it, but CI must."""
    folder = CXR6.parent
    if not all((folder / name / "manifest.csv").is_file() for name in FOLDERS):
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {folder}")
        pytest.skip("the shared files are not on this machine")
    return folder


def expectations(shared):
    found = {}
    for folder in FOLDERS:
        with (shared / folder / "manifest.csv").open(encoding="utf-8") as file:
            found |= {f"{folder}/{row['file']}": row["expected"] for row in csv.DictReader(file)}
    return found | DECIDED


def test_every_shared_file_has_the_outcome_that_is_expected(shared, data_dir):
    """`thoraq score` of both folders, with the model for real films."""
    files = expectations(shared)
    arguments = [
        "score",
        *(str(shared / name) for name in files),
        "--model",
        str(directory.SHIPPED_FILMS),
        "--json",
    ]

    rows = json.loads(CliRunner().invoke(cli.InstalledCommands(), arguments).stdout)

    outcomes = {"scored": "scorable", "rejected": "reject"}
    found = {str(row["file"]).removeprefix(f"{shared}/"): (outcomes[row["outcome"]], row["reason"]) for row in rows}
    wrong = {name: found[name] for name, expected in files.items() if found[name][0] != expected}
    assert {} == wrong
    assert len(files) > 100


def test_reading_them_all_takes_little_memory(shared):
    """The process grows by at most 300 MB after the network was loaded."""
    classifier, process = Classifier.load(directory.SHIPPED_PAPER), psutil.Process()
    done, peak = threading.Event(), [0]

    def watch():
        while not done.wait(SAMPLING_SECONDS):
            peak[0] = max(peak[0], process.memory_info().rss)

    idle = process.memory_info().rss
    watcher = threading.Thread(target=watch)
    watcher.start()
    for name in expectations(shared):
        try:
            classifier.prepare(decode((shared / name).read_bytes()))
        except RejectedImage:
            continue
    done.set()
    watcher.join()

    print(f"{(peak[0] - idle) / 2**20:.0f} MB above {idle / 2**20:.0f} MB")  # noqa: T201 - shown when it fails
    assert peak[0] - idle < MEMORY_GROWTH_BYTES
    assert peak[0] > 0


@pytest.fixture
def reported():
    """Return the folder of reported files; absent on most machines."""
    folder = CXR6.parent / "reported"
    if not (folder / "manifest.csv").is_file():
        pytest.skip("the reported files are not on this machine")
    return folder


def test_every_reported_file_has_the_outcome_that_is_expected(reported):
    """The same film in many senders' ways, as it is, as its negative, or rejected by its reason."""
    baseline = decode((reported / "baseline__film.dcm").read_bytes()).astype(int)
    with (reported / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    found = {row["file"]: outcome((reported / row["file"]).read_bytes(), baseline) for row in rows}

    wrong = {
        row["file"]: found[row["file"]] for row in rows if not found[row["file"]] & set(row["expected"].split(" or "))
    }
    assert {} == wrong
    assert len(rows) > 20


def outcome(data, baseline) -> set[str]:
    """Return the words of the manifest that describe what becomes of a file."""
    try:
        film = decode(data).astype(int)
    except RejectedImage as error:
        return {"rejected", error.reason.value}
    # A film whose sides are padding, and one shown by a curve, are compared by the order of their greys.
    inside = film[:, 100:-100].ravel(), baseline[:, 100:-100].ravel()
    alike = float(np.corrcoef(*inside)[0, 1])
    return {"scored"} | ({"same"} if alike > SAME else {"inverted"} if alike < INVERTED else set())


def test_a_patient_cd_has_one_film_and_its_index_is_passed_over(reported, data_dir):
    """Everything else on it is rejected for what it is."""
    told = CliRunner().invoke(
        cli.InstalledCommands(), ["score", str(reported / "cd"), "--model", str(directory.SHIPPED_PHANTOMS), "--json"]
    )

    rows = {row["file"].rsplit("/", 1)[-1]: row["reason"] for row in json.loads(told.stdout)}
    others = dict.fromkeys(["AUTORUN.INF", "README.PDF", "index.html", "viewer.exe"], Reason.UNSUPPORTED_FORMAT)
    assert {"IM000000": None} | others == rows
    assert "passed over: DICOMDIR" in told.stderr
