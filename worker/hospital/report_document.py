"""The findings of a study as a DICOM Structured Report: a Measurement Report (TID 1500), one group for each finding.

Whoever reads it learns the film, the finding as a code, the calibrated probability in percent, what it means at the
version's operating points, and which model version says so. The report is preliminary and unverified.
"""

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurement,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DA, DT, TM

from worker import NOTICE
from worker.hospital.finding_codes import PRIVATE_SCHEME, code_of
from worker.hospital.object_header import (
    MANUFACTURER,
    SERIES_DESCRIPTION,
    ObjectIds,
    StoredObject,
    put_identity,
    requested_procedure,
    uid_of,
)
from worker.hospital.reported_study import ReportedStudy, ScoredFilm
from worker.models.operating_points import Call, Decision
from worker.settings import FindingCode

#: It may quote a patient's name.
logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)

#: The report's classes, the one that is preferred first. Both have the same content.
CLASSES: Final = {Comprehensive3DSRStorage: Comprehensive3DSR, ComprehensiveSRStorage: ComprehensiveSR}
SERIES_NUMBER: Final = 9901

ENGLISH: Final = CodedConcept("en", "RFC5646", "English")
PROCEDURE: Final = Code("399208008", "SCT", "Plain X-ray of chest")
#: What a probability means at the operating points of the version.
DECISION: Final = Code("DECISION", PRIVATE_SCHEME, "Decision at operating points")
CALLS: Final = {
    Call.CALLED: Code("CALLED", PRIVATE_SCHEME, "Called"),
    Call.UNCERTAIN: Code("UNCERTAIN", PRIVATE_SCHEME, "Uncertain, not called"),
    Call.NOT_CALLED: Code("NOT_CALLED", PRIVATE_SCHEME, "Not called"),
    Call.NO_POINT: Code("NO_POINT", PRIVATE_SCHEME, "No operating point"),
}


def report_document(
    study: ReportedStudy,
    ids: ObjectIds,
    configured_codes: Mapping[str, FindingCode],
    sop_class_uid: UID = Comprehensive3DSRStorage,
) -> Dataset:
    """Return the report of a study, with file meta information.

    Args:
        study: what is reported; a rejected film is not in the report.
        ids: the UIDs of the report.
        configured_codes: the site's own codes, by class name.
        sop_class_uid: one of `CLASSES`.
    """
    evidence = [_reference(film) for film in study.scored]
    replaced = [_replaced(ids.predecessor, study)] if ids.predecessor else None
    request = requested_procedure(study.identity)
    moment = study.finished_at
    document: Dataset = CLASSES[sop_class_uid](
        evidence=evidence,
        content=_content(study, ids, configured_codes),
        series_instance_uid=ids.series_instance_uid,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=ids.sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.model.network[:64],
        software_versions=study.model.version,
        is_complete=True,
        previous_versions=replaced,
        requested_procedures=[request] if request else None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_date=DA(moment.date()),
        content_time=TM(moment.time()),
    )
    _date_by(document, moment)
    put_identity(document, study.identity)
    return document


def _date_by(document: Dataset, moment: datetime) -> None:
    """Replace the current time, so that a repeat is the same object to the byte."""
    document.InstanceCreationDate, document.InstanceCreationTime = document.ContentDate, document.ContentTime
    for library in document.get("ContributingEquipmentSequence", ()):
        library.ContributionDateTime = DT(moment.replace(tzinfo=None))


def _content(study: ReportedStudy, ids: ObjectIds, configured: Mapping[str, FindingCode]) -> Sequence:
    groups = [
        _group(film, decision, code_of(decision.finding, configured), ids)
        for film in study.scored
        for decision in film.decisions
    ]
    observer = DeviceObserverIdentifyingAttributes(
        uid=ids.device_uid,
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=study.model.network,
        serial_number=study.model.version,
    )
    context = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=observer)
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=context),
        procedure_reported=PROCEDURE,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(ENGLISH),
    )


def _group(
    film: ScoredFilm, decision: Decision, finding: Code, ids: ObjectIds
) -> MeasurementsAndQualitativeEvaluations:
    """Return the group (TID 1501) of one finding on one film."""
    film_uid = film.identity.sop_instance_uid.decode("ascii")
    source = SourceImageForMeasurement(film.identity.sop_class_uid.decode("ascii"), film_uid)
    name = uuid.uuid5(uuid.NAMESPACE_OID, ids.sop_instance_uid)
    algorithm = AlgorithmIdentification(
        name=film.model.network,
        version=film.model.version,
        manufacturer=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
        parameters=[f"trained on {film.model.trained_on}", NOTICE],
    )
    certainty = Measurement(
        name=codes.DCM.CertaintyOfFinding,
        value=round(100 * decision.probability, 2),
        unit=codes.UCUM.Percent,
        algorithm_id=algorithm,
        referenced_images=[source],
    )
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=uid_of(name, f"{film_uid}|{decision.finding}"), identifier=finding.meaning
        ),
        finding_type=finding,
        finding_sites=[FindingSite(codes.SCT.Chest)],
        measurements=[certainty],
        qualitative_evaluations=[QualitativeEvaluation(DECISION, CALLS[decision.call])],
    )


def _reference(film: ScoredFilm) -> Dataset:
    """Return what the report needs to know of a film: its UIDs. Patient and study are put in afterwards."""
    identity, reference = film.identity, Dataset()
    reference.SOPClassUID = identity.sop_class_uid.decode("ascii")
    reference.SOPInstanceUID = identity.sop_instance_uid.decode("ascii")
    reference.SeriesInstanceUID = identity.series_instance_uid.decode("ascii")
    reference.StudyInstanceUID = identity.study_instance_uid.decode("ascii")
    reference.PatientName = reference.PatientID = reference.PatientBirthDate = reference.PatientSex = None
    reference.AccessionNumber = reference.StudyID = reference.StudyDate = reference.StudyTime = None
    return reference


def _replaced(predecessor: StoredObject, study: ReportedStudy) -> Dataset:
    replaced = Dataset()
    replaced.SOPClassUID, replaced.SOPInstanceUID = predecessor.sop_class_uid, predecessor.sop_instance_uid
    replaced.SeriesInstanceUID = predecessor.series_instance_uid
    replaced.StudyInstanceUID = study.identity.study_instance_uid.decode("ascii")
    return replaced
