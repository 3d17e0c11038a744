"""Validators of others find no error in what is made for any film, whatever its header lacks."""

import csv
import io
import subprocess
import uuid
from dataclasses import replace

import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import Comprehensive3DSRStorage
from reported import FIGURES, ids, study

from worker.decoding import Limits, decode
from worker.hospital.identity import PATHS, Identity
from worker.hospital.object_header import StoredObject, uid_of
from worker.hospital.report_document import CLASSES, report_document
from worker.hospital.summary_picture import ShownFilm, summary_picture
from worker.inputs.film_limits import MAX_FILE_BYTES, MAX_PIXELS

#: What is done to the identity of each film: nothing; what only type 2 demands goes; values that DICOM does not allow.
BARE = dict.fromkeys(set(Identity.model_fields) - {
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "sop_class_uid"
}, b"")  # fmt: skip
INVALID = {
    "patient_birth_date": b"1950-01-02", "patient_sex": b"male", "study_date": b"yesterday", "study_time": b"12:30",
    "study_id": b"x" * 40, "study_description": b"a\nb",
}  # fmt: skip
CHANGES = {"as it came": {}, "without type 2": BARE, "with invalid values": INVALID}


def identity_of(data: bytes) -> Identity:
    """Return the identity of a film as pydicom reads it."""
    dataset = dcmread(io.BytesIO(data), force=True)

    def value(path):
        item = dataset
        if len(path) > 1:
            items = dataset.get(path[0])
            item = items.value[0] if items is not None and items.value else {}
        element = item.get_item(path[-1]) if path[-1] in item else None
        if element is None:
            return b""
        raw = isinstance(element, RawDataElement)
        return (element.value or b"").strip(b"\0 ") if raw else str(element.value).encode()

    found = Identity.model_validate({name: value(path) for name, path in PATHS.items()})
    uids = {"study_instance_uid": b"1.2.3", "series_instance_uid": b"1.2.3.1"}
    return found.model_copy(update={name: uid for name, uid in uids.items() if not getattr(found, name)})


@pytest.fixture(scope="module")
def films(shared_dicom):
    """Return the bytes of each shared film that can be scored, by name."""
    with (shared_dicom / "manifest.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["expected"] == "scorable"]
    return {name: (shared_dicom / name).read_bytes() for name in names}


def objects_of(data, identity):
    """Yield both reports and the picture of a film, which replace an earlier report."""
    result = study(identity, rejected=("not_frontal",))
    earlier = StoredObject(Comprehensive3DSRStorage, "1.2.3.9", "1.2.3.8")

    def named():
        uids = {name: uid_of(uuid.uuid4(), name) for name in ("sop_instance_uid", "series_instance_uid")}
        return replace(ids(predecessor=earlier), **uids)

    for sop_class in CLASSES:
        yield report_document(result, named(), {}, sop_class)
    film = Image.fromarray(decode(data, Limits(MAX_FILE_BYTES, MAX_PIXELS)))
    film.thumbnail((512, 512))
    yield summary_picture(result, ShownFilm(film, Image.new("L", (8, 8), 90)), named())


def errors_in(dciodvfy, path):
    """Return the lines of a validator's answer that name an error."""
    told = subprocess.run([dciodvfy, "-new", str(path)], capture_output=True, text=True, errors="replace")
    return [line for line in (told.stdout + told.stderr).splitlines() if "Error" in line or "Abort" in line]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_no_validator_finds_an_error(program, films, tmp_path, changes):
    """Dciodvfy judges modules and values; dsrdump parses the tree and reads each finding."""
    dciodvfy, dsrdump, found = program("dciodvfy"), program("dsrdump"), {}
    for name, data in films.items():
        identity = identity_of(data).model_copy(update=changes)
        for made in objects_of(data, identity):
            path = tmp_path / f"{name}-{made.SOPClassUID}.dcm"
            made.save_as(path, enforce_file_format=True)
            if errors := errors_in(dciodvfy, path):
                found[path.name] = errors
            if made.SOPClassUID in CLASSES:
                told = subprocess.run([dsrdump, str(path)], capture_output=True, text=True, errors="replace")
                assert 0 == told.returncode, told.stderr
                assert len(FIGURES) == told.stdout.count('"Certainty of Finding")=')

    assert {} == found
    assert len(films) > 20


def test_film_and_report_are_of_one_patient_and_one_study(program, films, tmp_path):
    """Dcentvfy compares what objects of one study must have in common."""
    data = films["real_siim_cxr_jpeg_baseline.dcm"]
    (tmp_path / "film.dcm").write_bytes(data)
    report, _, picture = objects_of(data, identity_of(data))
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    picture.save_as(tmp_path / "picture.dcm", enforce_file_format=True)

    told = subprocess.run(
        [program("dcentvfy"), *map(str, sorted(tmp_path.glob("*.dcm")))], capture_output=True, text=True
    )

    assert [] == [line for line in (told.stdout + told.stderr).splitlines() if "Error" in line]
    assert 0 == told.returncode
