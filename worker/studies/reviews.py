"""What clinicians say of the results: agreed or corrected, by whom and when. Reviews are added, never changed.

From them come confirmed labels for training; films on which reviewers differ are left out and listed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, func, select
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column

from worker.database import Base, UtcDateTime, now
from worker.errors import ScoringError
from worker.studies.records import NO_FINDINGS, Image, Study, Submission

MAX_NOTE_CHARACTERS = 1024


class Verdict(StrEnum):
    """What a reviewer says of a result."""

    AGREE = "agree"
    CORRECT = "correct"


class UnfitReview(ScoringError):
    """A review cannot be stored as it is; the text says why, for the reviewer."""


class Review(Base):
    """One person's word on one study, or on one of its films."""

    __tablename__ = "reviews"
    __table_args__ = (CheckConstraint("verdict IN ('agree', 'correct')", name="ck_reviews_verdict"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    #: Null: the word is on the study as a whole.
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    verdict: Mapped[str] = mapped_column(String(16))
    #: What the reviewer sees on the film: the agreed or the corrected findings.
    findings: Mapped[list[str]] = mapped_column(JSON)
    note: Mapped[str | None] = mapped_column(String(MAX_NOTE_CHARACTERS))
    #: The account's name.
    reviewed_by: Mapped[str] = mapped_column(String(64))
    reviewed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    #: Whose result was on the screen.
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))


@dataclass(frozen=True)
class ConfirmedLabel:
    """One film with the one finding that all who reviewed it see."""

    image_id: int
    root: str
    path: str
    #: Of the film's bytes, hexadecimal.
    sha256: str
    finding: str
    #: What ties films of one patient: the sender and its pseudonym, or the study where none was sent.
    patient: str


@dataclass(frozen=True)
class LeftOutReview:
    """A film whose reviews give no label, and why: `conflict`, `several_findings` or `which_film`."""

    image_id: int
    reason: str


def add(  # noqa: PLR0913 - the parts of a review
    session: Session,
    study_id: int,
    *,
    by: str,
    verdict: Verdict,
    findings: Sequence[str] = (),
    image_id: int | None = None,
    note: str | None = None,
) -> Review:
    """Store one review.

    Args:
        session: of the transaction.
        study_id: what was reviewed.
        by: the reviewer's account.
        verdict: on the result that was shown.
        findings: what the reviewer sees; who agrees with the result of one film may leave them out.
        image_id: the film, where the word is on one of several.
        note: free text without identifiers.

    Raises:
        UnfitReview: there is no such study or film, it is not scored yet, or findings or note are unfit.
    """
    images = [image for image in _scored(session, study_id) if image_id in {None, image.id}]
    if not images:
        raise UnfitReview("there is no scored film to review")
    shown = images[0].prediction
    if not findings and shown and verdict == Verdict.AGREE and len(images) == 1:
        findings = [shown.label]
    _require_fit(findings, note)
    review = Review(
        study_id=study_id,
        image_id=image_id,
        verdict=verdict,
        findings=sorted(set(findings)),
        note=note or None,
        reviewed_by=by,
        model_version_id=shown.model_version_id if shown else None,
    )
    session.add(review)
    session.flush()
    return review


def _require_fit(findings: Sequence[str], note: str | None) -> None:
    if not findings:
        raise UnfitReview("a review names at least one finding")
    if NO_FINDINGS in findings and len(set(findings)) > 1:
        raise UnfitReview(f"{NO_FINDINGS} excludes every other finding")
    if note and len(note) > MAX_NOTE_CHARACTERS:
        raise UnfitReview(f"a note has at most {MAX_NOTE_CHARACTERS} characters")


def of_study(session: Session, study_id: int) -> list[Review]:
    """Return the reviews of a study and of its films, newest first."""
    return list(session.scalars(select(Review).where(Review.study_id == study_id).order_by(Review.id.desc())))


def confirmed_labels(session: Session) -> tuple[list[ConfirmedLabel], list[LeftOutReview]]:
    """Return the films with a label that all reviewers share, and those that were reviewed and have none.

    Of one reviewer the last word on a film counts. The same content reviewed as several films counts once.
    """
    words = _last_words(session)
    labels: dict[str, ConfirmedLabel] = {}
    left_out: list[LeftOutReview] = []
    by_content: dict[str, list[tuple[Image, set[tuple[str, ...]]]]] = defaultdict(list)
    for image, said in words:
        by_content[str(image.sha256)].append((image, said))
    for content, films in sorted(by_content.items()):
        said = set().union(*(part for _, part in films))
        reason = _reason_against(said)
        if reason:
            left_out += [LeftOutReview(image.id, reason) for image, _ in films]
        else:
            labels[content] = _label(films[0][0], next(iter(said))[0])
    return list(labels.values()), left_out


def contents_by_patient(session: Session) -> dict[str, set[str]]:
    """Return the contents of all films, reviewed or not, of each patient or study of whom a film was reviewed."""
    reviewed = select(Review.study_id)
    keys = select(Study.patient_key).where(Study.id.in_(reviewed), Study.patient_key.is_not(None))
    contents: dict[str, set[str]] = defaultdict(set)
    for image in session.scalars(
        select(Image)
        .join(Study)
        .where(Image.sha256.is_not(None), Study.id.in_(reviewed) | Study.patient_key.in_(keys))
        .options(joinedload(Image.study).joinedload(Study.submission))
    ):
        contents[_patient(image.study)].add(str(image.sha256))
    return contents


def _scored(session: Session, study_id: int) -> Sequence[Image]:
    return session.scalars(
        select(Image)
        .where(Image.study_id == study_id, Image.prediction_id.is_not(None))
        .options(joinedload(Image.prediction))
        .order_by(Image.id)
    ).all()


def _last_words(session: Session) -> list[tuple[Image, set[tuple[str, ...]]]]:
    """Return each reviewed film with what each reviewer said of it last; a word on a study is one on its films.

    A finding of a study with several films may show on one of them only: the reviewer must name the film. An empty
    tuple stands for such a word.
    """
    newest = select(func.max(Review.id)).group_by(Review.study_id, Review.image_id, Review.reviewed_by)
    reviews = session.scalars(select(Review).where(Review.id.in_(newest)).order_by(Review.id)).all()
    said: dict[int, dict[str, tuple[str, ...]]] = defaultdict(dict)
    films = _films_of(session, {review.study_id for review in reviews})
    for review in reviews:
        of_study = films[review.study_id]
        for image in of_study:
            if review.image_id not in {None, image.id}:
                continue
            plain = review.image_id is not None or len(of_study) == 1 or review.findings == [NO_FINDINGS]
            said[image.id][review.reviewed_by] = tuple(review.findings) if plain else ()
    images = {image.id: image for of_study in films.values() for image in of_study}
    return [(images[image_id], set(words.values())) for image_id, words in said.items()]


def _films_of(session: Session, studies: set[int]) -> dict[int, list[Image]]:
    films: dict[int, list[Image]] = defaultdict(list)
    for image in session.scalars(
        select(Image)
        .where(Image.study_id.in_(studies), Image.prediction_id.is_not(None), Image.sha256.is_not(None))
        .options(joinedload(Image.study).joinedload(Study.submission))
        .order_by(Image.id)
    ):
        films[image.study_id].append(image)
    return films


def _reason_against(said: set[tuple[str, ...]]) -> str | None:
    if len(said) > 1:
        return "conflict"
    (findings,) = said
    if not findings:
        return "which_film"
    return "several_findings" if len(findings) > 1 else None


def _label(image: Image, finding: str) -> ConfirmedLabel:
    return ConfirmedLabel(image.id, image.root, image.path, str(image.sha256), finding, _patient(image.study))


def _patient(study: Study) -> str:
    """Return what ties films of one patient: pseudonyms hold within the system that gave them."""
    return f"{study.submission.source}/{study.patient_key}" if study.patient_key else f"study {study.id}"


def newest_of_version(session: Session, model_version_id: int, source: str, limit: int) -> list[str]:
    """Return the verdicts of the newest reviews of one version's results on films of one source, newest first."""
    return list(
        session.scalars(
            select(Review.verdict)
            .join(Study, Study.id == Review.study_id)
            .join(Submission, Submission.id == Study.submission_id)
            .where(Review.model_version_id == model_version_id, Submission.source == source)
            .order_by(Review.id.desc())
            .limit(limit)
        )
    )
