"""Findings are coded by SNOMED CT or DICOM, by the site's own codes, or by a private one."""

import json

import pytest
from pydantic import ValidationError
from pydicom.sr.coding import Code

from worker.hospital.finding_codes import CODES, code_of
from worker.models.directory import SHIPPED_FILMS, read_card
from worker.settings import Settings


def test_each_finding_of_the_shipped_network_has_a_public_code():
    """A report of the default classes needs no private scheme."""
    assert set(read_card(SHIPPED_FILMS).classes) == set(CODES)


def test_no_findings_is_the_code_of_a_normal_film():
    """Its neighbour 168734001 says the opposite."""
    assert "168733007" == CODES["No-Findings"].value


def test_the_code_of_a_site_replaces_the_known_one(monkeypatch):
    """A site without a licence of SNOMED CT, or with a catalogue of its own, names codes in a setting."""
    own = {"value": "J18.9", "scheme": "I10", "meaning": "Pneumonia"}
    monkeypatch.setenv("THORAQ_FINDING_CODES", json.dumps({"Pneumonia": own}))

    configured = Settings(_env_file=None).finding_codes

    assert Code("J18.9", "I10", "Pneumonia") == code_of("Pneumonia", configured)
    assert CODES["Effusions"] == code_of("Effusions", configured)


@pytest.mark.parametrize("value", ["", "x" * 17, "a b", "a\\b", "ö"])
def test_a_code_that_dicom_does_not_allow_is_an_invalid_setting(value, monkeypatch):
    """It would make every report invalid."""
    own = {"value": value, "scheme": "99SITE", "meaning": "Pneumonia"}
    monkeypatch.setenv("THORAQ_FINDING_CODES", json.dumps({"Pneumonia": own}))

    with pytest.raises(ValidationError):
        Settings(_env_file=None)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("Nodule", "Nodule"), ("A finding with a long name", "A finding with a long name"), ("x" * 80, "x" * 64)],
)
def test_another_class_has_a_private_code(name, meaning):
    """Any class name of a card makes a valid code."""
    code = code_of(name, {})

    assert ("99THORAQ", meaning) == (code.scheme_designator, code.meaning)
    assert 1 <= len(code.value) <= 16
    assert code == code_of(name, {})


def test_two_long_names_have_two_codes():
    """Their first characters are the same."""
    assert code_of("Opacity of the left lung", {}).value != code_of("Opacity of the left lobe", {}).value


@pytest.mark.parametrize("name", ["Überblähung", "a\\b", "\n"])
def test_a_name_that_is_no_plain_text_is_named_by_its_hash(name):
    """The report's character set is that of the film, which may not have its letters."""
    code = code_of(name, {})

    assert code.value == code.meaning
    assert code.value.isalnum()
