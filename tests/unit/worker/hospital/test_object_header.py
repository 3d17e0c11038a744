"""Objects carry the patient and study of the film, byte for byte; values that DICOM does not allow are left out."""

import io
import uuid

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from reported import identity

from worker.hospital.identity import Identity
from worker.hospital.object_header import put_identity, requested_procedure, uid_of


def written(found: Identity) -> bytes:
    """Return the bytes of a data set with this identity."""
    dataset, buffer = Dataset(), io.BytesIO()
    put_identity(dataset, found)
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def read(found: Identity) -> Dataset:
    """Return the data set as an archive reads it."""
    return dcmread(io.BytesIO(written(found)), force=True)


def test_patient_and_study_are_those_of_the_film():
    """An archive files the object under them."""
    dataset = read(identity())

    assert ("Müller^Jörg", "4711", "NORTH", "19500102", "M") == (
        str(dataset.PatientName), dataset.PatientID, dataset.IssuerOfPatientID, dataset.PatientBirthDate,
        dataset.PatientSex,
    )  # fmt: skip
    assert ("1.2.3", "A-1", "S1", "20260102", "030000", "Thorax pa") == (
        dataset.StudyInstanceUID, dataset.AccessionNumber, dataset.StudyID, dataset.StudyDate, dataset.StudyTime,
        dataset.StudyDescription,
    )  # fmt: skip
    assert "House^Gregory" == str(dataset.ReferringPhysicianName)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (b"", b"Smith^John"),
        (b"ISO_IR 192", "Łukasz^Żółć".encode()),
        (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
        (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3"),
        # Latin letters without a character set, as many modalities send them.
        (b"", "Müller^Jörg".encode("latin-1")),
        (b"NO SUCH SET", b"\xff\xfe^x"),
    ],
)
def test_a_name_keeps_its_bytes(character_set, name):
    """Decoding and encoding again would lose some; another name would be another patient."""
    found = identity(specific_character_set=character_set, patient_name=name, patient_id=name[:8])

    data = written(found)

    assert name in data
    assert name[:8] in data
    assert (character_set in data) is (character_set != b"NO SUCH SET")


def test_what_the_film_lacks_is_empty():
    """Type 2 attributes are always there."""
    uids = {"study_instance_uid": b"1.2.3", "sop_instance_uid": b"1.2.3.4", "series_instance_uid": b"1.2.3.5"}
    dataset = read(Identity(**uids))

    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        assert not dataset[keyword].value, keyword
    assert "IssuerOfPatientID" not in dataset
    assert "StudyDescription" not in dataset


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient_birth_date", b"1950-01-02"), ("patient_birth_date", b"19501302"), ("patient_birth_date", b"195\xff"),
        ("patient_birth_date", b"19500101 "), ("patient_birth_date", b"+9500101"),
        ("patient_sex", b"male"), ("study_time", b"12:30"), ("study_time", b"25"), ("study_time", b"noon"),
        ("study_id", b"x" * 17), ("study_id", b"a\\b"), ("study_description", b"a\nb"),
    ],
)  # fmt: skip
def test_a_value_that_dicom_does_not_allow_is_left_out(field, value):
    """Archives refuse objects for them."""
    assert value not in written(identity(**{field: value}))


@pytest.mark.parametrize("time", [b"12", b"1230", b"123015", b"123015.123456", b"235960"])
def test_a_time_may_be_short(time):
    """Its precision is that of the modality."""
    assert time in written(identity(study_time=time))


@pytest.mark.parametrize("field", ["patient_id", "accession_number", "issuer_of_patient_id"])
def test_what_names_the_patient_is_never_left_out(field):
    """Without it, the archive would make a second patient; a value that is too long is still the same value."""
    assert b"x" * 70 in written(identity(**{field: b"x" * 70}))


def test_the_issuer_of_the_accession_number_goes_with_it():
    """Two issuers may give the same number."""
    dataset = read(identity(accession_issuer_local=b"RIS", accession_issuer_universal=b"1.2.3.4"))

    issuer = dataset.IssuerOfAccessionNumberSequence[0]
    assert ("RIS", "1.2.3.4", "ISO") == (
        issuer.LocalNamespaceEntityID, issuer.UniversalEntityID, issuer.UniversalEntityIDType
    )  # fmt: skip


def test_the_request_is_named_where_the_film_names_it():
    """The report answers it."""
    assert requested_procedure(identity(requested_procedure_id=b"")) is None

    item = requested_procedure(identity())

    assert (b"RP1 ", "1.2.3") == (item.get_item("RequestedProcedureID").value, item.StudyInstanceUID)


def test_a_uid_follows_from_its_name_and_part():
    """A repeat makes the same object."""
    name = uuid.uuid4()

    assert uid_of(name, "report") == uid_of(name, "report")
    assert uid_of(name, "report") != uid_of(name, "picture")
    assert len(uid_of(name, "report")) <= 64
