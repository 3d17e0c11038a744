"""The head of an object that goes back into a study: its UIDs, and the patient and study of the film, as they came.

Text keeps the bytes and the character set of the film, so that the archive files the object under the same patient.
A value of another kind that DICOM does not allow, such as a date of letters, is left out.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from worker.hospital.identity import Identity

#: The root of UIDs that are made of a UUID (PS3.5 section B.2).
UUID_ROOT: Final = "2.25."
MANUFACTURER: Final = "Thoraq"
SERIES_DESCRIPTION: Final = "Thoraq findings (research use only)"

#: Attributes of the patient and the study that every object has (type 2), and where an identity has their values.
REQUIRED: Final = {
    "PatientName": "patient_name",
    "PatientID": "patient_id",
    "PatientBirthDate": "patient_birth_date",
    "PatientSex": "patient_sex",
    "StudyDate": "study_date",
    "StudyTime": "study_time",
    "ReferringPhysicianName": "referring_physician_name",
    "StudyID": "study_id",
    "AccessionNumber": "accession_number",
}
#: Those that an object has where the film has them (type 3).
OPTIONAL: Final = {"IssuerOfPatientID": "issuer_of_patient_id", "StudyDescription": "study_description"}
#: By these the archive recognises patient and study: they are never left out.
KEYS: Final = frozenset({"PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber"})

TIME: Final = re.compile(rb"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?")
SEXES: Final = (b"M", b"F", b"O")
UID: Final = re.compile(rb"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")
#: The longest text, by VR; PN has three groups of this length.
MAX_CHARACTERS: Final = {"SH": 16, "LO": 64, "PN": 64 * 3 + 2}
CONTROLS: Final = re.compile(rb"[\x00-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True)
class StoredObject:
    """An object in a PACS, by its UIDs."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True)
class ObjectIds:
    """The UIDs of an object to be made. The same ids and the same study make the same object."""

    sop_instance_uid: str
    series_instance_uid: str
    #: Names this installation as the observer.
    device_uid: str
    #: The object that this one replaces.
    predecessor: StoredObject | None = None


def uid_of(name: uuid.UUID, part: str) -> str:
    """Return the UID that belongs to a name and one of its parts: `2.25.` and their UUID of version 5."""
    return f"{UUID_ROOT}{uuid.uuid5(name, part).int}"


def put_identity(dataset: Dataset, identity: Identity) -> None:
    """Give an object the patient and the study of a film; what the film lacks is empty."""
    if _is_character_set(identity.specific_character_set):
        dataset.SpecificCharacterSet = identity.specific_character_set.decode("ascii").split("\\")
    elif "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    dataset.StudyInstanceUID = identity.study_instance_uid.decode("ascii")
    for keyword, field in REQUIRED.items():
        _put(dataset, keyword, getattr(identity, field))
    for keyword, field in OPTIONAL.items():
        if value := getattr(identity, field):
            _put(dataset, keyword, value)
    if issuer := _accession_issuer(identity):
        dataset.IssuerOfAccessionNumberSequence = Sequence([issuer])


def requested_procedure(identity: Identity) -> Dataset | None:
    """Return the item that names the requested procedure which a report answers; None if the film names none."""
    if not identity.requested_procedure_id:
        return None
    item = Dataset()
    item.StudyInstanceUID = identity.study_instance_uid.decode("ascii")
    _put(item, "AccessionNumber", identity.accession_number)
    _put(item, "RequestedProcedureID", identity.requested_procedure_id)
    item.ReferencedStudySequence = Sequence()
    item.RequestedProcedureCodeSequence = Sequence()
    item.PlacerOrderNumberImagingServiceRequest = item.FillerOrderNumberImagingServiceRequest = ""
    item.RequestedProcedureDescription = ""
    return item


def _put(dataset: Dataset, keyword: str, value: bytes) -> None:
    tag, vr = tag_for_keyword(keyword), dictionary_VR(keyword)
    assert tag is not None  # noqa: S101 - the keywords stand above
    kept = value if keyword in KEYS or _is_valid(vr, value) else b""
    if vr in MAX_CHARACTERS:  # A raw value is written as it stands, in the character set that the data set names.
        even = kept + b" " * (len(kept) % 2)
        dataset[tag] = RawDataElement(Tag(tag), vr, len(even), even, 0, is_implicit_VR=False, is_little_endian=True)
    else:
        dataset.add_new(tag, vr, kept.decode("ascii"))


def _is_valid(vr: str, value: bytes) -> bool:
    if vr == "DA":
        return _is_date(value)
    if vr == "TM":
        return TIME.fullmatch(value) is not None
    if vr == "CS":
        return value in SEXES
    return len(value) <= MAX_CHARACTERS[vr] and b"\\" not in value and not CONTROLS.search(value)


def _is_date(value: bytes) -> bool:
    digits = value.decode("latin-1")
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return len(digits) == len("YYYYMMDD") and digits.isascii() and digits.isdigit()


def _is_character_set(value: bytes) -> bool:
    terms = value.decode("latin-1").split("\\")
    # An empty first term stands for the default character set.
    return value != b"" and all(term in python_encoding for term in terms) and any(terms)


def _accession_issuer(identity: Identity) -> Dataset | None:
    item = Dataset()
    if identity.accession_issuer_local:
        item.LocalNamespaceEntityID = identity.accession_issuer_local.decode("latin-1")
    if UID.fullmatch(identity.accession_issuer_universal):
        item.UniversalEntityID = identity.accession_issuer_universal.decode("ascii")
        item.UniversalEntityIDType = "ISO"
    return item if len(item) else None
