"""Only the private key of the certificate opens an identity."""

import pytest
from owed_results import write_keys
from reported import identity

from worker.errors import NotConfigured
from worker.hospital.identity import read_certificate, seal
from worker.hospital.unsealing import IdentityGone, read_key


@pytest.fixture
def opener(tmp_path):
    certificate, key = write_keys(tmp_path)
    return read_key(key, read_certificate(certificate))


def test_a_sealed_identity_is_opened_as_it_was(opener, tmp_path):
    """Bytes of any character set come back."""
    sealed = seal(identity(), read_certificate(tmp_path / "identity.pem"))

    assert identity() == opener.open(sealed)


def test_the_identity_of_another_key_is_gone(opener, tmp_path):
    """The error has none of it."""
    (tmp_path / "other").mkdir()
    certificate, _ = write_keys(tmp_path / "other")
    sealed = seal(identity(), read_certificate(certificate))

    for damaged in (sealed, sealed[:100], b"", b"\x30\x80"):
        with pytest.raises(IdentityGone, match="cannot be opened"):
            opener.open(damaged)


def test_a_key_that_does_not_fit_the_certificate_is_refused_at_the_start(opener, tmp_path):
    """Every export would fail."""
    (tmp_path / "other").mkdir()
    _, key = write_keys(tmp_path / "other")
    certificate = read_certificate(tmp_path / "identity.pem")

    for path in (key, tmp_path / "missing", tmp_path / "identity.pem"):
        with pytest.raises(NotConfigured, match="THORAQ_IDENTITY_KEY"):
            read_key(path, certificate)
