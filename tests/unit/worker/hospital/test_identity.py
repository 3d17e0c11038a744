"""An identity is read from a film's data set, sealed for one reader, and replaced by a pseudonym."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der
from dicom_films import dataset
from owed_results import certificate_for
from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from worker.errors import NotConfigured
from worker.films.deidentification import split
from worker.hospital.identity import (
    PATHS,
    Identity,
    patient_key,
    read_certificate,
    read_identity,
    read_site_key,
    seal,
)
from worker.inputs.film_limits import MAX_FILE_BYTES

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def data_set(**attributes):
    film = dataset(**attributes)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, film)
    return buffer.getvalue()


def identity_of(**attributes):
    values = split(data_set(**attributes), EXPLICIT, tuple(PATHS.values()), MAX_FILE_BYTES).values
    return read_identity(values)


def test_the_identity_has_what_the_results_need_as_bytes():
    """A name stays in the character set in which it came."""
    issuer, request = Dataset(), Dataset()
    issuer.LocalNamespaceEntityID = "NORTH"
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP1", "SPS1"

    found = identity_of(
        SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg", PatientID="4711", PatientSex="M",
        StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1", AccessionNumber="A1", StudyDate="20260102",
        IssuerOfAccessionNumberSequence=[issuer], RequestAttributesSequence=[request],
    )  # fmt: skip

    assert "Müller^Jörg".encode("latin-1") == found.patient_name
    assert (b"ISO_IR 100", b"4711", b"M") == (found.specific_character_set, found.patient_id, found.patient_sex)
    assert (b"1.2.3", b"1.2.3.1", b"1.2.3") == (
        found.study_instance_uid, found.series_instance_uid, found.sop_instance_uid
    )  # fmt: skip
    assert (b"A1", b"NORTH", b"RP1", b"SPS1", b"20260102") == (
        found.accession_number, found.accession_issuer_local, found.requested_procedure_id,
        found.scheduled_procedure_step_id, found.study_date,
    )  # fmt: skip
    assert (b"", b"") == (found.patient_birth_date, found.study_id)


def test_each_field_is_read_where_its_name_says():
    """A wrong tag would file a result under another patient."""
    spelt = {name: keyword_for_tag(path[-1]).lower() for name, path in PATHS.items()}
    nested = {"accession_issuer_local": "localnamespaceentityid", "accession_issuer_universal": "universalentityid"}

    assert {name: nested.get(name, name.replace("_", "")) for name in Identity.model_fields} == spelt


def test_what_is_too_long_is_left_out():
    """A sealed identity stays small whatever is sent."""
    assert b"" == identity_of(StudyDescription="x" * 5000).study_description


def test_only_the_holder_of_the_key_reads_a_sealed_identity(key):
    """It is CMS, which other tools open, too: `openssl cms -decrypt`."""
    certificate = certificate_for(key)
    identity = Identity(patient_name="Müller^Jörg".encode("latin-1"), patient_id=b"4711")

    sealed = seal(identity, certificate)

    assert b"4711" not in sealed
    assert b"NzEx" not in sealed
    assert identity == Identity.model_validate_json(pkcs7_decrypt_der(sealed, certificate, key, []))
    assert sealed != seal(identity, certificate)
    assert len(sealed) < 1500


def test_a_patient_has_one_pseudonym_at_a_site():
    """The number of another issuer is another patient."""
    keys = {patient_key(b"k" * 32, b"NORTH", b"4711"), patient_key(b"k" * 32, b"NORTH", b"4711")}
    others = {patient_key(b"k" * 32, b"SOUTH", b"4711"), patient_key(b"l" * 32, b"NORTH", b"4711")}

    assert 1 == len(keys)
    assert 3 == len(keys | others)
    assert 64 == len(keys.pop())
    assert patient_key(b"k" * 32, b"NORTH", b"") is None


def test_files_that_are_none_are_refused(key, tmp_path):
    """A receiver that cannot seal must not start."""
    path = tmp_path / "file"
    for read in (read_certificate, read_site_key):
        with pytest.raises(NotConfigured):
            read(path)
    path.write_bytes(b"short")
    for read in (read_certificate, read_site_key):
        with pytest.raises(NotConfigured):
            read(path)
    path.write_bytes(certificate_for(ec.generate_private_key(ec.SECP256R1())).public_bytes(Encoding.PEM))
    with pytest.raises(NotConfigured, match="RSA"):
        read_certificate(path)

    path.write_bytes(certificate_for(key).public_bytes(Encoding.PEM))
    assert read_certificate(path)
    path.write_bytes(b"x" * 32 + b"\n")
    assert b"x" * 32 == read_site_key(path)
