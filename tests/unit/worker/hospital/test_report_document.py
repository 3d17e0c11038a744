"""The report says for each film and finding how certain the model is, in codes, beside the film's UIDs."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage
from reported import DX, FIGURES, identity, ids, study

from worker.hospital.object_header import StoredObject
from worker.hospital.report_document import CLASSES, report_document
from worker.settings import FindingCode


def read(document):
    """Return the document as an archive reads it, and its bytes."""
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return dcmread(io.BytesIO(buffer.getvalue())), buffer.getvalue()


def groups(document):
    """Return the measurement groups as {meaning of a concept's name: content item}."""
    (container,) = [item for item in document.ContentSequence if item.get("ContentSequence")]
    return [
        {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in group.ContentSequence}
        for group in container.ContentSequence
    ]


def certainty(group):
    return float(group["Certainty of Finding"].MeasuredValueSequence[0].NumericValue)


def inner(group, meaning):
    """Return the text, or the meaning of the code, of each property of the certainty with this name."""
    return [
        item.get("TextValue") or item.ConceptCodeSequence[0].CodeMeaning
        for item in group["Certainty of Finding"].ContentSequence
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    ]


@pytest.mark.parametrize("sop_class", CLASSES)
def test_each_finding_of_a_film_is_a_group(sop_class):
    """Its probability is in percent, its code is public, and its decision is that of the study's page."""
    document, _ = read(report_document(study(), ids(), {}, sop_class))

    assert sop_class == document.SOPClassUID
    found = groups(document)
    assert [61.25, 35, 2, 1, 0.5, 0.25] == [certainty(group) for group in found]
    findings = [group["Finding"].ConceptCodeSequence[0] for group in found]
    assert ["36118008", "60046008", "112121", "233604007", "840539006", "168733007"] == [f.CodeValue for f in findings]
    assert ["Called", "Uncertain, not called", *["Not called"] * 4] == [
        group["Decision at operating points"].ConceptCodeSequence[0].CodeMeaning for group in found
    ]


def test_each_figure_names_its_film_and_the_algorithm():
    """A figure without its version cannot be judged."""
    document, _ = read(report_document(study(), ids(), {}))

    for group in groups(document):
        assert ["efficientnet"] == inner(group, "Algorithm Name")
        assert ["efficientnet-0123456789ab"] == inner(group, "Algorithm Version")
        assert ["Thoraq"] == inner(group, "Algorithm Manufacturer")
        assert ["Artificial Intelligence"] == inner(group, "Algorithm Family")
        assert "trained on films" in inner(group, "Algorithm Parameters")
        (film,) = [
            item.ReferencedSOPSequence[0]
            for item in group["Certainty of Finding"].ContentSequence
            if item.ValueType == "IMAGE"
        ]
        assert (DX.decode(), "1.2.3.1.1") == (film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID)


def test_the_report_is_filed_in_the_study_of_the_film():
    """It has the original identifiers, and the scored films are its evidence."""
    second = identity(sop_instance_uid=b"1.2.3.2.1", series_instance_uid=b"1.2.3.2")
    document, data = read(report_document(study(identity(), second), ids(), {}))

    assert ("1.2.3", "4711", "A-1") == (document.StudyInstanceUID, document.PatientID, document.AccessionNumber)
    assert "Müller^Jörg".encode("latin-1") in data
    (evidence,) = document.CurrentRequestedProcedureEvidenceSequence
    assert {("1.2.3.1", "1.2.3.1.1"), ("1.2.3.2", "1.2.3.2.1")} == {
        (series.SeriesInstanceUID, film.ReferencedSOPInstanceUID)
        for series in evidence.ReferencedSeriesSequence
        for film in series.ReferencedSOPSequence
    }
    assert 2 * len(FIGURES) == len(groups(document))
    assert "RP1" == document.ReferencedRequestSequence[0].RequestedProcedureID


def test_the_report_is_preliminary_and_unverified():
    """No person has read it."""
    document, _ = read(report_document(study(), ids(), {}))

    assert ("COMPLETE", "PRELIMINARY", "UNVERIFIED") == (
        document.CompletionFlag, document.PreliminaryFlag, document.VerificationFlag
    )  # fmt: skip
    assert ("Thoraq findings (research use only)", 9901) == (document.SeriesDescription, document.SeriesNumber)
    assert ids().sop_instance_uid == document.SOPInstanceUID == document.file_meta.MediaStorageSOPInstanceUID


def test_a_repeat_is_the_same_object_to_the_byte():
    """An archive that has it already loses nothing."""
    (_, first), (_, second) = (read(report_document(study(), ids(), {})) for _ in range(2))

    assert first == second
    assert b"20260102" in first


def test_a_replacement_names_its_predecessor():
    """A late film makes a new report."""
    earlier = StoredObject(ComprehensiveSRStorage, "1.2.3.9", "1.2.3.8")
    document, _ = read(report_document(study(), ids(predecessor=earlier), {}))

    (series,) = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert ("1.2.3", "1.2.3.8") == (
        document.PredecessorDocumentsSequence[0].StudyInstanceUID, series.SeriesInstanceUID
    )  # fmt: skip
    assert (ComprehensiveSRStorage, "1.2.3.9") == (
        series.ReferencedSOPSequence[0].ReferencedSOPClassUID,
        series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID,
    )
    assert "PredecessorDocumentsSequence" not in report_document(study(), ids(), {})


def test_codes_of_the_site_are_used():
    """They come from a setting."""
    own = {"Pneumothorax": FindingCode(value="J93", scheme="I10", meaning="Pneumothorax")}
    document, _ = read(report_document(study(), ids(), own))

    code = groups(document)[0]["Finding"].ConceptCodeSequence[0]
    assert ("J93", "I10") == (code.CodeValue, code.CodingSchemeDesignator)


def test_microseconds_do_not_spoil_the_time():
    """The time of a result comes from the database."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    document, _ = read(report_document(replace(study(), finished_at=moment), ids(), {}, Comprehensive3DSRStorage))

    assert ("20260102", "030405.678901") == (document.ContentDate, document.ContentTime)
