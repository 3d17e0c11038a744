"""One study with its films, their predictions and rejections, and other studies of the patient. Only reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, defer, joinedload, selectinload

from dashboard.studies.rows import Row, ranked, rows
from worker.films.archive import preview_path
from worker.models.records import ModelVersion
from worker.settings import settings
from worker.studies.records import Image, Prediction, Study

#: The page shows at most this many other studies of the patient.
MAX_OTHER_STUDIES = 10


@dataclass(frozen=True)
class Film:
    """One film with its prediction or rejection."""

    image: Image
    has_preview: bool
    #: (finding, probability), the highest probability first; empty unless the film is scored.
    findings: list[tuple[str, float]]


@dataclass(frozen=True)
class StudyWithFilms:
    """One study with its films."""

    row: Row
    study: Study
    films: list[Film]

    @property
    def models(self) -> list[ModelVersion]:
        """Return the model versions that scored its films, without duplicates."""
        versions = (film.image.prediction.model_version for film in self.films if film.image.prediction)
        return list({version.id: version for version in versions}.values())


def find_study(session: Session, study_id: int) -> StudyWithFilms | None:
    """Return a study with its films; None if there is no such study."""
    study = session.get(Study, study_id, options=[joinedload(Study.submission)])
    if study is None:
        return None
    films = [
        Film(image, _has_preview(image), ranked(image.prediction.probabilities if image.prediction else {}))
        for image in images(session, [study_id])
    ]
    return StudyWithFilms(rows(session, [study_id])[0], study, films)


def other_studies(session: Session, study: Study) -> list[Row]:
    """Return the newest other studies of the same patient: those with the same pseudonym and source."""
    if study.patient_key is None:
        return []
    ids = session.scalars(
        select(Study.id)
        .where(Study.patient_key == study.patient_key, Study.source == study.source, Study.id != study.id)
        .order_by(Study.id.desc())
        .limit(MAX_OTHER_STUDIES)
    )
    return rows(session, ids.all())


def images(session: Session, study_ids: Sequence[int]) -> list[Image]:
    """Return the films of studies with their predictions and rejections, in the order in which they were accepted."""
    prediction = joinedload(Image.prediction)
    query = (
        select(Image)
        .where(Image.study_id.in_(study_ids))
        .options(
            # Reports are long, and no film needs its version's report.
            prediction.joinedload(Prediction.model_version).options(defer(ModelVersion.report)),
            joinedload(Image.rejection),
            selectinload(Image.study),
        )
        .order_by(Image.id)
    )
    return list(session.scalars(query))


def _has_preview(image: Image) -> bool:
    return bool(image.sha256) and preview_path(settings().previews_dir, image.sha256 or "").is_file()
