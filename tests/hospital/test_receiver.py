"""A real PACS sends studies to the receiver, and their results stand in SQL."""

import io
import subprocess

from deployment import CXR6
from hospital_peers import DCMSEND, ECHOSCU, ORTHANC, declare, need, orthanc, send, write_films
from hospital_rig import film
from pydicom import dcmread, dcmwrite
from pydicom.uid import BasicTextSRStorage
from sqlalchemy import text

#: In every identifying attribute; nothing but a sealed identity may have it.
CANARY = "CANARIUS"


def rows(deployment, query):
    with deployment.database() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def named(dataset, number):
    """Return a file of a film or report with a canary wherever a person or a case is named."""
    for keyword in (
        "PatientName", "PatientID", "OtherPatientIDs", "PatientAddress", "ReferringPhysicianName", "OperatorsName",
        "StudyDescription", "SeriesDescription", "InstitutionName", "PatientComments", "ImageComments",
        "PerformingPhysicianName", "StationName", "ProtocolName", "DeviceSerialNumber", "AdmittingDiagnosesDescription",
    ):  # fmt: skip
        setattr(dataset, keyword, CANARY)
    dataset.private_block(0x0009, CANARY, create=True).add_new(1, "LO", CANARY)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.88.{number}"
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def test_orthanc_sends_a_study_and_its_name_is_nowhere(deployment, tmp_path, real_films):
    """A study of two films and a report comes as a whole; the films are scored and final once nothing more comes."""
    need(ORTHANC)
    port = declare(deployment, tmp_path, THORAQ_LOG_FORMAT="json")
    for kind in ("receiver", "intake", "worker"):
        deployment.start(kind)
    shared = CXR6.parent / "dicom"
    films = [dcmread(shared / name) for name in ("cxr_mono2_8bit_1024.dcm", "cxr_j2k_lossless_12bit.dcm")]
    report = film(SOPClassUID=BasicTextSRStorage, Modality="SR")
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage

    with orthanc(tmp_path / "orthanc", {"thoraq": ["THORAQ", "127.0.0.1", port]}) as pacs:
        for number, dataset in enumerate([*films, report]):
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.88", f"1.2.88.9.{number}"
            dataset.StudyID = dataset.AccessionNumber = "A1"
            pacs.store(named(dataset, number))
        assert pacs.call("/modalities/thoraq/echo", b"") == {}
        (study,) = pacs.call("/studies")
        done = pacs.call("/modalities/thoraq/store", study.encode())
    assert (3, 0) == (done["InstancesCount"], done["FailedInstancesCount"])

    def is_final():
        return [("scored",)] == rows(deployment, "SELECT state FROM studies")

    deployment.wait_for(is_final, "the study to be final", 120)
    parts = "SELECT number, closed_by, set_aside, incomplete FROM arrival_parts"
    assert [(1, "silence", 1, False)] == rows(deployment, parts)
    images = rows(deployment, "SELECT state, sop_instance_uid FROM images ORDER BY 2")
    assert [("scored", "1.2.88.0"), ("scored", "1.2.88.1")] == images
    sealed = "SELECT count(*) FROM arrivals WHERE identity IS NOT NULL"
    assert [(2,)] == rows(deployment, sealed)
    _assert_no_canary(deployment)


def _assert_no_canary(deployment):
    canary = CANARY.lower().encode()
    hidden = [canary, canary.decode().encode("utf-16-le"), b"Q0FOQVJJVV", b"NBTkFSSVVT", b"DQU5BUklVU"]  # base64
    database = deployment.environment["THORAQ_DATABASE_URL"].replace("+psycopg", "")
    dump = subprocess.run(["pg_dump", "--inserts", database], capture_output=True, check=True).stdout
    import redis

    broker = redis.from_url(deployment.environment["THORAQ_BROKER_URL"])
    queue = b"".join(broker.dump(key) or b"" for key in broker.keys("*"))
    found = {"sql": dump, "redis": queue}
    found |= {str(path): path.read_bytes() for path in deployment.directory.rglob("*") if path.is_file()}
    assert any("archive" in name for name in found)
    assert any("previews" in name for name in found)
    assert any(name.endswith("receiver.log") for name in found)
    hits = {name for name, data in found.items() for mark in hidden if mark in data.lower() or mark in data}
    assert set() == hits


def test_the_door_keeps_to_its_limits(deployment, tmp_path):
    """What the settings say holds for a real sender, and a signal ends the process in order."""
    need(DCMSEND, ECHOSCU)
    files = list(write_films(tmp_path / "films", 3, per_study=3).values())
    report = tmp_path / "report"
    port = declare(
        deployment, tmp_path, THORAQ_RECEIVER_ASSOCIATIONS="1", THORAQ_RECEIVER_PER_ADDRESS="2",
        THORAQ_RECEIVER_PDU_BYTES="16384", THORAQ_RECEIVER_SPOOL_BYTES="1", THORAQ_PART_MAXIMUM_SECONDS="2",
    )  # fmt: skip
    deployment.start("receiver")

    first = send(port, files[0], report=report)
    assert {"1.2.77.0.0": "0x0000"} == first
    assert {} == send(port, files[1], report=report, calling="STRANGER")
    assert {} == send(port, files[1], report=report, called="NOBODY")
    echo = [ECHOSCU, "-aet", "PACS1", "-aec", "THORAQ", "127.0.0.1", str(port)]
    assert 0 == subprocess.run(echo).returncode
    maximum = "SELECT closed_by, incomplete FROM arrival_parts"
    deployment.wait_for(lambda: rows(deployment, maximum) == [("maximum", True)], "the maximum", 30)

    process = deployment.processes.pop("receiver")
    process.terminate()
    assert 0 == process.wait(30)
    deployment.environment["THORAQ_RECEIVER_RESERVE_BYTES"] = str(2**60)
    deployment.start("receiver")
    assert {} == send(port, files[1], report=report)
    assert 0 == subprocess.run(echo).returncode
    assert "congestion" in deployment.log("receiver")
    assert 1 == len(rows(deployment, "SELECT id FROM arrivals"))
