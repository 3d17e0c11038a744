"""The code of each finding in DICOM objects: from SNOMED CT or DICOM where there is one, else one of Thoraq's own.

A site that may not use SNOMED CT, or that has codes of its own, replaces them by `THORAQ_FINDING_CODES`.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from pydicom.sr.coding import Code

from worker.settings import FindingCode
from worker.studies.records import NO_FINDINGS

#: The designator of Thoraq's own codes (PS3.16 chapter 8: `99` begins a private one).
PRIVATE_SCHEME: Final = "99THORAQ"
#: DICOM's longest code value (VR SH) and meaning (VR LO).
MAX_VALUE, MAX_MEANING = 16, 64

#: By class name. 168733007 says that a film is normal; its neighbour 168734001 says that it is abnormal.
CODES: Final[Mapping[str, Code]] = {
    "Pneumothorax": Code("36118008", "SCT", "Pneumothorax"),
    "Effusions": Code("60046008", "SCT", "Pleural effusion"),
    "Infiltration": Code("112121", "DCM", "Infiltrate"),
    "Pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "Covid-19": Code("840539006", "SCT", "COVID-19"),
    NO_FINDINGS: Code("168733007", "SCT", "Standard chest X-ray normal"),
}


def code_of(finding: str, configured: Mapping[str, FindingCode]) -> Code:
    """Return the code of a class: the configured one, the known one, or a private one of the class name.

    A class name that is no code value by itself is named by its hash, and stands in the meaning.
    """
    if own := configured.get(finding):
        return Code(own.value, own.scheme, own.meaning)
    return CODES.get(finding) or private_code(finding)


def private_code(name: str) -> Code:
    """Return a code of Thoraq's own scheme."""
    plain = name if name.isascii() and name.isprintable() and "\\" not in name else ""
    value = plain.strip().replace(" ", "_")
    if not value or len(value) > MAX_VALUE:
        value = hashlib.sha256(name.encode()).hexdigest()[:MAX_VALUE].upper()
    return Code(value, PRIVATE_SCHEME, plain[:MAX_MEANING].strip() or value)
