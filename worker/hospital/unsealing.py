"""Opens sealed identities. Only `thoraq sender` imports this, and only its user can read the private key."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der
from pydantic import ValidationError

from worker.errors import NotConfigured, ScoringError
from worker.hospital.identity import Identity


class IdentityGone(ScoringError):
    """A sealed identity cannot be opened: it was sealed for another key, or is damaged."""


class Opener:
    """Opens what was sealed for one certificate."""

    def __init__(self, certificate: x509.Certificate, key: RSAPrivateKey) -> None:
        """Keep the certificate and its private key."""
        self._certificate, self._key = certificate, key

    def open(self, sealed: bytes) -> Identity:
        """Return the identity.

        Raises:
            IdentityGone: it was sealed for another certificate, or is damaged.
        """
        try:
            document = pkcs7_decrypt_der(sealed, self._certificate, self._key, [])
            return Identity.model_validate_json(document)
        except (ValueError, ValidationError) as error:
            raise IdentityGone("an identity cannot be opened with THORAQ_IDENTITY_KEY") from error


def read_key(path: Path, certificate: x509.Certificate) -> Opener:
    """Return what opens identities that were sealed for a certificate.

    Raises:
        NotConfigured: the file cannot be read, has no private RSA key in PEM, or the key of another certificate.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise NotConfigured(f"THORAQ_IDENTITY_KEY: {path} has no private key in PEM without a password") from error
    if not isinstance(key, RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise NotConfigured(f"THORAQ_IDENTITY_KEY: {path} is not the key of THORAQ_IDENTITY_CERTIFICATE")
    return Opener(certificate, key)
