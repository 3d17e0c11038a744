"""A real PACS gets each result once, in the patient's own study, whatever fails on the way."""

import io
import os
import signal
import subprocess
import sys
import urllib.request
from datetime import timedelta

import pytest
from deployment import CXR6
from hospital_peers import ORTHANC, need, orthanc
from owed_results import add_part, all_exports, let_time_pass, pauses, variables
from pydicom import dcmread, dcmwrite
from reported import identity
from sqlalchemy import text

from worker.demo.embedded_redis import free_port

#: The plug-in of Debian's orthanc-dicomweb.
DICOMWEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STUDIES, KILLS = 24, 6


@pytest.fixture
def sending(deployment, tmp_path, monkeypatch):
    """Return a function that configures destinations for the deployment and for the rig in this process alike."""
    from worker import wakeups
    from worker.database import engine
    from worker.settings import settings

    monkeypatch.setattr(wakeups, "wake_scorers", lambda *_: True)

    def begin(**destinations):
        deployment.environment |= variables(tmp_path, destinations)
        for name, value in deployment.environment.items():
            if name.startswith("THORAQ_"):
                monkeypatch.setenv(name, value)
        settings.cache_clear()
        engine.cache_clear()

    return begin


def pacs_of(port, **changes):
    return {"kind": "dicom", "host": "127.0.0.1", "port": port, "called": "ORTHANC", **changes}


def film_of(one):
    """Return the file of a film with this identity."""
    film = dcmread(CXR6.parent / "dicom" / "cxr_mono2_8bit_explicit.dcm")
    film.PatientName, film.PatientID = one.patient_name.decode("latin-1"), one.patient_id.decode()
    film.SpecificCharacterSet = "ISO_IR 100"
    film.PatientBirthDate, film.PatientSex, film.Modality = "19500102", "M", "DX"
    film.StudyInstanceUID, film.SeriesInstanceUID = one.study_instance_uid.decode(), one.series_instance_uid.decode()
    film.AccessionNumber, film.StudyID, film.StudyDate, film.StudyTime = "A-1", "S1", "20260102", "030000"
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = one.sop_instance_uid.decode()
    buffer = io.BytesIO()
    dcmwrite(buffer, film, enforce_file_format=True)
    return buffer.getvalue()


def sent():
    return sum(export.sent_at is not None for export in all_exports())


def finished():
    return all(export.next_at is None for export in all_exports())


@pytest.mark.parametrize("kind", ["dicom", "stow"])
def test_orthanc_shows_one_patient_and_one_study_with_film_report_and_picture(
    deployment, sending, tmp_path, kind, shared_dicom, program
):
    """By C-STORE and by STOW-RS. The validators find no error in what Orthanc stored."""
    need(ORTHANC)
    port = free_port()
    with orthanc(tmp_path / "orthanc", {}, DicomPort=port, Plugins=[DICOMWEB]) as pacs:
        web = {"kind": "stow", "url": f"{pacs._url}/dicom-web"}
        sending(pacs=web if kind == "stow" else pacs_of(port))
        pacs.store(film_of(identity()))
        add_part(identity())
        deployment.start("sender")
        deployment.wait_for(lambda: all_exports()[0].sent_at, "the report to be sent", 60)
        # No worker draws heat maps here, so the picture waits until its patience ends.
        age_results()
        let_time_pass()
        deployment.wait_for(finished, "the picture to be sent", 60)

        assert ["sent", "sent"] == [export.state for export in all_exports()]
        assert (1, 1) == (len(pacs.call("/patients")), len(pacs.call("/studies")))
        series = [pacs.call(f"/series/{found}")["MainDicomTags"]["Modality"] for found in pacs.call("/series")]
        assert ["DX", "OT", "SR"] == sorted(series)
        for number, instance in enumerate(pacs.call("/instances")):
            with urllib.request.urlopen(f"{pacs._url}/instances/{instance}/file") as answer:
                (tmp_path / f"{number}.dcm").write_bytes(answer.read())
    judged = [path for path in tmp_path.glob("*.dcm") if dcmread(path).Modality in {"SR", "OT"}]
    assert 2 == len(judged)
    for path in judged:
        told = subprocess.run([program("dciodvfy"), "-new", path], capture_output=True, text=True, errors="replace")
        assert "Error" not in told.stdout + told.stderr


def age_results():
    """Let every picture's patience end."""
    from worker.database import now, transaction

    with transaction() as session:
        moment = {"moment": now() - timedelta(hours=1)}
        session.execute(text("UPDATE studies SET finished_at = :moment"), moment)
        session.execute(text("UPDATE exports SET created_at = :moment"), moment)


def test_an_outage_and_kills_leave_each_study_with_one_report(deployment, sending, tmp_path, shared_dicom):
    """The archive is out at first, then the sender is killed again and again while it sends."""
    need(ORTHANC)
    port = free_port()
    sending(pacs=pacs_of(port, objects=["sr"]))
    studies = [identity(study_instance_uid=b"1.2.3.%d" % number) for number in range(STUDIES)]
    for one in studies:
        add_part(one)
    deployment.start("sender")
    deployment.wait_for(lambda: "pacs" in pauses(), "the outage to be noticed", 60)
    assert not any(export.sent_at for export in all_exports())

    with orthanc(tmp_path / "orthanc", {}, DicomPort=port) as pacs:
        for _ in range(KILLS):
            let_time_pass()
            before = sent()
            deployment.wait_for(lambda before=before: sent() > before or finished(), "a report to be sent", 60)
            kill(deployment)

        def all_sent():
            let_time_pass()
            return finished()

        deployment.wait_for(all_sent, "every report to be sent", 120)
        reports = [pacs.call(f"/instances/{found}/simplified-tags") for found in pacs.call("/instances")]

    assert STUDIES == len(reports) == len({report["StudyInstanceUID"] for report in reports})
    assert {export.sop_instance_uid for export in all_exports()} == {report["SOPInstanceUID"] for report in reports}


def kill(deployment):
    """Kill the sender at whatever it does, and start another one."""
    process = deployment.processes["sender"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    start(deployment)


def start(deployment):
    """Start a sender without waiting for its heartbeat."""
    with (deployment.directory / "sender.log").open("ab") as log:
        deployment.processes["sender"] = subprocess.Popen(
            [sys.executable, "-m", "worker", "sender"], env=deployment.environment, stdout=log, stderr=log
        )
