"""Reviews of results by clinicians, and the labels that they confirm. Reviews are added and never changed.

If the reviewers of a film disagree, it has no confirmed label and is listed as left out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from worker.errors import ScoringError
from worker.studies.records import MAX_NOTE_CHARACTERS, NO_FINDINGS, Image, Review, Study, Submission, Verdict


class InvalidReview(ScoringError):
    """A review cannot be stored; the message tells the reviewer why."""


@dataclass(frozen=True)
class ConfirmedLabel:
    """A film and the one finding on which all its reviewers agree."""

    image_id: int
    #: The name of a configured root folder, and the path below it.
    root: str
    path: str
    #: SHA-256 of the film's bytes, hexadecimal.
    sha256: str
    finding: str
    #: The same for all films of one patient: the source and its pseudonym, or the study where none was sent.
    patient: str


@dataclass(frozen=True)
class LeftOutReview:
    """A film without a confirmed label, and why: `conflict`, `several_findings` or `which_film`."""

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
        session: in a transaction.
        study_id: the reviewed study.
        by: the name of the reviewer's account.
        verdict: on the result that was shown.
        findings: what the reviewer sees. They may be left out to agree with the result of one film.
        image_id: the reviewed film, if the review is of one film; None for the whole study.
        note: free text without identifiers.

    Raises:
        InvalidReview: there is no such study or film, it has no result yet, or the findings or the note are invalid.
    """
    images = [image for image in _scored(session, study_id) if image_id in {None, image.id}]
    if not images:
        raise InvalidReview("there is no scored film to review")
    shown = images[0].prediction
    if not findings and shown and verdict == Verdict.AGREE and len(images) == 1:
        findings = [shown.label]
    _require_valid(findings, note)
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


def _require_valid(findings: Sequence[str], note: str | None) -> None:
    if not findings:
        raise InvalidReview("a review names at least one finding")
    if NO_FINDINGS in findings and len(set(findings)) > 1:
        raise InvalidReview(f"{NO_FINDINGS} excludes every other finding")
    if note and len(note) > MAX_NOTE_CHARACTERS:
        raise InvalidReview(f"a note has at most {MAX_NOTE_CHARACTERS} characters")


def of_study(session: Session, study_id: int) -> list[Review]:
    """Return the reviews of a study and of its films, newest first."""
    return list(session.scalars(select(Review).where(Review.study_id == study_id).order_by(Review.id.desc())))


def confirmed_labels(session: Session) -> tuple[list[ConfirmedLabel], list[LeftOutReview]]:
    """Return the labels on which all reviewers of a film agree, and the reviewed films that have no such label.

    Only the newest review of a film by each reviewer counts. The same content reviewed as several films counts once.
    """
    labels: dict[str, ConfirmedLabel] = {}
    left_out: list[LeftOutReview] = []
    by_content: dict[str, list[tuple[Image, set[tuple[str, ...]]]]] = defaultdict(list)
    for image, answers in _newest_answers(session):
        by_content[str(image.sha256)].append((image, answers))
    for content, films in sorted(by_content.items()):
        answers = set().union(*(part for _, part in films))
        reason = _reason_against(answers)
        if reason:
            left_out += [LeftOutReview(image.id, reason) for image, _ in films]
        else:
            labels[content] = _label(films[0][0], next(iter(answers))[0])
    return list(labels.values()), left_out


def contents_by_patient(session: Session) -> dict[str, set[str]]:
    """Return the SHA-256 of all films, reviewed or not, of each patient (or study) with a reviewed film."""
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


def _newest_answers(session: Session) -> list[tuple[Image, set[tuple[str, ...]]]]:
    """Return each reviewed film with the findings that each reviewer named last.

    A review of a study counts for each of its films. If the study has several films, such a review does not say on
    which of them a finding shows: an empty tuple stands for it.
    """
    newest = select(func.max(Review.id)).group_by(Review.study_id, Review.image_id, Review.reviewed_by)
    reviews = session.scalars(select(Review).where(Review.id.in_(newest)).order_by(Review.id)).all()
    answers: dict[int, dict[str, tuple[str, ...]]] = defaultdict(dict)
    films = _films_of(session, {review.study_id for review in reviews})
    for review in reviews:
        of_study = films[review.study_id]
        for image in of_study:
            if review.image_id not in {None, image.id}:
                continue
            names_film = review.image_id is not None or len(of_study) == 1 or review.findings == [NO_FINDINGS]
            answers[image.id][review.reviewed_by] = tuple(review.findings) if names_film else ()
    images = {image.id: image for of_study in films.values() for image in of_study}
    return [(images[image_id], set(by_reviewer.values())) for image_id, by_reviewer in answers.items()]


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


def _reason_against(answers: set[tuple[str, ...]]) -> str | None:
    """Return why these answers confirm no label; None if they confirm one."""
    if len(answers) > 1:
        return "conflict"
    (findings,) = answers
    if not findings:
        return "which_film"
    return "several_findings" if len(findings) > 1 else None


def _label(image: Image, finding: str) -> ConfirmedLabel:
    return ConfirmedLabel(image.id, image.root, image.path, str(image.sha256), finding, _patient(image.study))


def _patient(study: Study) -> str:
    """Return a name for the patient that includes the source, since a pseudonym is unique only within its source."""
    return f"{study.submission.source}/{study.patient_key}" if study.patient_key else f"study {study.id}"


def newest_of_version(session: Session, model_version_id: int, source: str, limit: int) -> list[str]:
    """Return the verdicts of the newest reviews of one version's results for one source, newest first."""
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
