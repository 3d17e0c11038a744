"""Results of studies for tests, as they are reported to a hospital's archive."""

import uuid
from datetime import UTC, datetime

from PIL import Image

from worker.hospital.identity import Identity
from worker.hospital.object_header import ObjectIds, uid_of
from worker.hospital.reported_study import ReportedModel, ReportedStudy, ScoredFilm
from worker.hospital.summary_picture import ShownFilm
from worker.models.operating_points import Decision, Point

DX = b"1.2.840.10008.5.1.4.1.1.1.1"
FIGURES = {
    "Pneumothorax": 0.61254, "Effusions": 0.35, "Infiltration": 0.02, "Pneumonia": 0.01, "Covid-19": 0.005,
    "No-Findings": 0.00246,
}  # fmt: skip
POINTS = [Point("specificity", 0.3, 0.9, 0.9, 10), Point("sensitivity", 0.6, 0.9, 0.9, 10)]
MODEL = ReportedModel("efficientnet-0123456789ab", "efficientnet", "films")
FINISHED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def identity(**changes: bytes) -> Identity:
    """Return the identity of a film of one patient; a change replaces a value."""
    values = {
        "specific_character_set": b"ISO_IR 100",
        "patient_id": b"4711",
        "issuer_of_patient_id": b"NORTH",
        "patient_name": "Müller^Jörg".encode("latin-1"),
        "patient_birth_date": b"19500102",
        "patient_sex": b"M",
        "accession_number": b"A-1",
        "study_instance_uid": b"1.2.3",
        "series_instance_uid": b"1.2.3.1",
        "sop_instance_uid": b"1.2.3.1.1",
        "sop_class_uid": DX,
        "study_id": b"S1",
        "study_date": b"20260102",
        "study_time": b"030000",
        "study_description": b"Thorax pa",
        "referring_physician_name": b"House^Gregory",
        "requested_procedure_id": b"RP1",
    }
    return Identity.model_validate(values | changes)


def decisions(figures: dict[str, float] | None = None) -> list[Decision]:
    """Return the decisions for findings, which all have the same operating points."""
    return [Decision(finding, probability, POINTS) for finding, probability in (figures or FIGURES).items()]


def study(*identities: Identity, rejected: tuple[str, ...] = (), model: ReportedModel = MODEL) -> ReportedStudy:
    """Return the result of a study of scored films with these identities."""
    films = [ScoredFilm(one, model, decisions()) for one in identities or (identity(),)]
    return ReportedStudy(films, rejected, decisions(), FINISHED)


def ids(**changes: object) -> ObjectIds:
    """Return the UIDs of an object."""
    name = uuid.UUID(int=1)
    return ObjectIds(
        **{  # type: ignore[arg-type]
            "sop_instance_uid": uid_of(name, "instance"),
            "series_instance_uid": uid_of(name, "series"),
            "device_uid": uid_of(name, "device"),
            **changes,
        }
    )


def shown(*, heat: bool = True) -> ShownFilm:
    """Return a film for the picture, wider than high; its heat is in the upper left quarter."""
    veil = Image.new("L", (80, 60), 0)
    veil.paste(255, (0, 0, 40, 30))
    return ShownFilm(Image.new("L", (400, 300), 100), veil if heat else None)
