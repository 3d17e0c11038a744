"""A stored DICOM file contains nothing about its patient, and its film is read as before."""

import io
import os

import numpy as np
import pytest
from deployment import CXR6
from dicom_films import DEEP, FILM, dicom_file, table
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from worker.decoding import decode, dicom
from worker.errors import Reason, RejectedImage
from worker.films.deidentification import KEPT, deidentified, split
from worker.films.dicom_elements import MAX_ELEMENTS, DamagedElements
from worker.inputs.film_limits import MAX_FILE_BYTES

CANARY = "Canarius^Vogel"
#: Standard attributes in which a name may stand; `named_film` adds nested, private and trailing ones.
PLACES = (
    "PatientName", "PatientID", "ReferringPhysicianName", "StudyDescription", "PatientComments", "OtherPatientIDs",
    "InstitutionName", "OperatorsName", "ProtocolName", "ImageComments", "AccessionNumber",
)  # fmt: skip


def stored(data):
    return deidentified(data, MAX_FILE_BYTES)


def outcome(data):
    try:
        film = decode(data)
    except RejectedImage as error:
        return error.reason
    return film.shape, film.tobytes()


def named_film(pixels=FILM, **options):
    request = Dataset()
    request.RequestedProcedureID, request.RequestingPhysician = "Canarius 12", CANARY
    view = Dataset()
    view.CodeMeaning, view.PatientName = "postero-anterior", CANARY
    film = dicom_file(pixels, **dict.fromkeys(PLACES, CANARY[:14]), RequestAttributesSequence=[request],
                      ViewCodeSequence=[view], StudyInstanceUID="1.2.999", **options)  # fmt: skip
    dataset = dcmread(io.BytesIO(film))
    dataset.private_block(0x0009, CANARY, create=True).add_new(1, "LO", CANARY)
    dataset.add_new(0xFFFCFFFC, "OB", CANARY.encode())
    dataset.file_meta.SourceApplicationEntityTitle = "CANARIUS"
    dataset.preamble = CANARY.encode().ljust(128)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pixels": DEEP, "bits": 12, "syntax": ImplicitVRLittleEndian},
        {"pixels": DEEP, "bits": 12, "syntax": ExplicitVRBigEndian},
        {"syntax": DeflatedExplicitVRLittleEndian},
        {"pixels": DEEP, "bits": 12, "VOILUTSequence": [table(np.arange(0, 4096), bits=12)]},
    ],
)
def test_no_name_is_left_and_the_film_stays(options):
    """Only the attributes that are listed are left, wherever the others stand."""
    named = named_film(**options)

    film = stored(named)

    assert b"canarius" not in film.lower()
    assert b"1.2.999" not in film
    assert outcome(named) == outcome(film)
    assert not isinstance(outcome(film), Reason)


def test_compressed_pixels_are_copied_as_they_stand():
    """Compressing again would cost time and could change a grey value."""
    dataset = dcmread(io.BytesIO(named_film(DEEP, bits=12)))
    dataset.compress(RLELossless)
    buffer = io.BytesIO()
    dataset.save_as(buffer)

    film = stored(buffer.getvalue())

    assert dataset.PixelData == dcmread(io.BytesIO(film)).PixelData
    assert outcome(buffer.getvalue()) == outcome(film)


def test_the_same_film_is_the_same_file_and_a_stored_file_stays_as_it_is():
    """So one content has one SHA-256 and one prediction, whoever sends it under whatever name."""
    film = stored(named_film())

    assert film == stored(named_film(PatientBirthDate="19000101"))
    assert film == stored(film)


def test_all_that_the_worker_reads_stays():
    """An attribute that decoding learns to read must be listed, too."""
    assert set() == {tag_for_keyword(name) for name in dicom.KEYWORDS} - set(KEPT)


def test_no_listed_attribute_names_a_person():
    """The list holds what describes pixels, and nothing of the modules of patient, visit and study."""
    assert {0x0008, 0x0018, 0x0020, 0x0028, 0x0054, 0x7FE0} == {tag >> 16 for tag in KEPT}
    assert {
        "SpecificCharacterSet", "SOPClassUID", "Modality", "PresentationIntentType", "AnatomicRegionSequence",
        "PatientOrientation",
    } == {keyword_for_tag(tag) for tag in KEPT if tag >> 16 in {0x0008, 0x0020}}  # fmt: skip


def test_the_index_of_a_patient_cd_is_stored_without_its_names_and_named_as_such():
    """Its records hold the name of the patient."""
    index = bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10" + CANARY.encode()

    film = stored(index)

    assert CANARY.encode() not in film
    assert stored(film) == film
    assert Reason.UNSUPPORTED_FORMAT == outcome(film)


def test_every_shared_file_keeps_its_film():
    """Real files of many makers: identical pixels, or rejected as before."""
    folder = CXR6.parent / "dicom"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {folder}")
        pytest.skip("the shared files are not on this machine")
    changed = {}
    for path in sorted(folder.glob("*.dcm")):
        data = path.read_bytes()
        before, after = outcome(data), outcome(stored(data))
        if before != after:
            changed[path.name] = before, after

    # Both are damaged and no chest films. What cannot be read of them is gone, and then the modality is looked at.
    assert {
        "pd_emri_small_jpeg_2k_lossless_too_short.dcm": (Reason.CORRUPT, Reason.WRONG_MODALITY),
        "pt_nested_priv_SQ.dcm": (Reason.CORRUPT, Reason.WRONG_MODALITY),
    } == changed


@pytest.mark.parametrize(
    "data",
    [
        bytes(128) + b"DICM",
        named_film()[:140],
        bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x04\x0012.3" + b"\x08\x00\x05\x11SQ\0\0\xff\xff\xff\xff" * 40,
        bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x04\x00Smit",
    ],
)
def test_a_file_that_cannot_be_walked_is_emptied(data):
    """The worker rejects what is left of it."""
    film = stored(data)

    assert len(film) < 256
    assert isinstance(outcome(film), Reason)
    assert b"Smit" not in film


def test_a_data_set_without_preamble_is_cut_off():
    """The worker does not read it, so its name must not stay in the archive."""
    data_set = named_film()[132:]

    assert 8 == len(stored(data_set))
    assert outcome(data_set) == outcome(stored(data_set))


def test_a_picture_stays_as_it_is():
    """A picture has no attributes that name a patient."""
    assert b"\x89PNG\r\n\x1a\nrest" == stored(b"\x89PNG\r\n\x1a\nrest")


def test_a_hostile_data_set_costs_little():
    """Its elements are counted, those in sequences, too."""
    element = b"\x08\x00\x60\x00CS\x00\x00"
    with pytest.raises(DamagedElements, match="elements"):
        split(element * (MAX_ELEMENTS + 1), "1.2.840.10008.1.2.1", (), MAX_FILE_BYTES)
    items = b"\x08\x00\x05\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * MAX_ELEMENTS
    with pytest.raises(DamagedElements, match="elements"):
        split(items, "1.2.840.10008.1.2.1", (), MAX_FILE_BYTES)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), max_size=6), st.integers(0, 1400))
def test_damage_anywhere_raises_nothing(changes, cut):
    """Whatever the bytes are, something can be stored, and the worker has a reason or a film."""
    damaged = bytearray(named_film())
    for position, value in changes:
        damaged[position] = value

    for data in (bytes(damaged), bytes(damaged[:cut])):
        outcome(stored(data))
