"""What a film says of its patient and study: read at the door, sealed for the sender, and a pseudonym in its place.

Sealed is CMS EnvelopedData with AES-256 for the sender's certificate, the method of DICOM's own Encrypted Attributes
Sequence (PS3.15 annex E). The private key lies with `thoraq sender` alone; this module only seals.
"""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options
from pydantic import BaseModel, ConfigDict

from worker.errors import NotConfigured
from worker.films.deidentification import Path as ValuePath

#: HMAC-SHA256 gains nothing from a longer key, and loses from a shorter one.
MIN_KEY_BYTES = 32

_ISSUER_OF_ACCESSION, _REQUEST = 0x00080051, 0x00400275
_LOCAL_NAMESPACE, _UNIVERSAL_ENTITY = 0x00400031, 0x00400032


class Identity(BaseModel):
    """The original identifiers of one film, which its results must carry to be filed in the patient's study.

    Each value is as the film has it: bytes in the character set that `specific_character_set` names, without padding,
    several values divided by a backslash. Empty means that the film has no value, or one longer than DICOM allows.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", hide_input_in_errors=True
    )

    specific_character_set: bytes = b""
    patient_id: bytes = b""
    issuer_of_patient_id: bytes = b""
    patient_name: bytes = b""
    #: YYYYMMDD.
    patient_birth_date: bytes = b""
    patient_sex: bytes = b""
    accession_number: bytes = b""
    #: From the first item of the Issuer of Accession Number Sequence.
    accession_issuer_local: bytes = b""
    accession_issuer_universal: bytes = b""
    study_instance_uid: bytes = b""
    series_instance_uid: bytes = b""
    sop_instance_uid: bytes = b""
    sop_class_uid: bytes = b""
    study_id: bytes = b""
    study_date: bytes = b""
    study_time: bytes = b""
    study_description: bytes = b""
    referring_physician_name: bytes = b""
    #: From the first item of the Request Attributes Sequence.
    requested_procedure_id: bytes = b""
    scheduled_procedure_step_id: bytes = b""

    def document(self) -> bytes:
        """Return the JSON that is sealed; bytes are in base64."""
        return self.model_dump_json(exclude_defaults=True).encode()


#: Where each value stands in a data set.
PATHS: Final[Mapping[str, ValuePath]] = {
    "specific_character_set": (0x00080005,),
    "patient_id": (0x00100020,),
    "issuer_of_patient_id": (0x00100021,),
    "patient_name": (0x00100010,),
    "patient_birth_date": (0x00100030,),
    "patient_sex": (0x00100040,),
    "accession_number": (0x00080050,),
    "accession_issuer_local": (_ISSUER_OF_ACCESSION, _LOCAL_NAMESPACE),
    "accession_issuer_universal": (_ISSUER_OF_ACCESSION, _UNIVERSAL_ENTITY),
    "study_instance_uid": (0x0020000D,),
    "series_instance_uid": (0x0020000E,),
    "sop_instance_uid": (0x00080018,),
    "sop_class_uid": (0x00080016,),
    "study_id": (0x00200010,),
    "study_date": (0x00080020,),
    "study_time": (0x00080030,),
    "study_description": (0x00081030,),
    "referring_physician_name": (0x00080090,),
    "requested_procedure_id": (_REQUEST, 0x00401001),
    "scheduled_procedure_step_id": (_REQUEST, 0x00400009),
}


def read_identity(values: Mapping[ValuePath, bytes]) -> Identity:
    """Return the identity from the values of a data set (`worker.films.deidentification.split`)."""
    return Identity.model_validate({name: values.get(path, b"") for name, path in PATHS.items()})


def seal(identity: Identity, certificate: x509.Certificate) -> bytes:
    """Return the identity as CMS EnvelopedData in DER, which only the holder of the certificate's key can open."""
    return (
        PKCS7EnvelopeBuilder()
        .set_data(identity.document())
        .add_recipient(certificate)
        .set_content_encryption_algorithm(AES256)
        .encrypt(Encoding.DER, [PKCS7Options.Binary])
    )


def patient_key(site_key: bytes, issuer: bytes, patient_id: bytes) -> str | None:
    """Return the pseudonym of a patient: HMAC-SHA256 of issuer and PatientID, in hexadecimal; None without a PatientID.

    The same patient has the same pseudonym at every door of the site, and nobody without the key can try numbers out.
    """
    if not patient_id:
        return None
    return hmac.new(site_key, issuer + b"\0" + patient_id, hashlib.sha256).hexdigest()


def read_certificate(path: Path) -> x509.Certificate:
    """Return the sender's certificate, in PEM.

    Raises:
        NotConfigured: the file cannot be read, or does not have a certificate with an RSA key.
    """
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise NotConfigured(f"THORAQ_IDENTITY_CERTIFICATE: {path} has no certificate in PEM") from error
    if not isinstance(certificate.public_key(), RSAPublicKey):
        raise NotConfigured(f"THORAQ_IDENTITY_CERTIFICATE: {path} has no RSA key, which CMS needs here")
    return certificate


def read_site_key(path: Path) -> bytes:
    """Return the key of the pseudonyms.

    Raises:
        NotConfigured: the file cannot be read, or has fewer than 32 bytes.
    """
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise NotConfigured(f"THORAQ_PSEUDONYM_KEY: {path} cannot be read") from error
    if len(key) < MIN_KEY_BYTES:
        raise NotConfigured(f"THORAQ_PSEUDONYM_KEY: {path} has fewer than {MIN_KEY_BYTES} bytes")
    return key
