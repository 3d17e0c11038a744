"""Reviews are added and never changed; the labels on which all reviewers agree are confirmed."""

import pytest
from cards import card
from sqlalchemy import select

from worker.database import reading, transaction
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.studies import reviews
from worker.studies.records import Image, ImageState, Prediction, Study, Submission, Verdict
from worker.studies.reviews import InvalidReview, LeftOutReview


@pytest.fixture
def scored(database):
    """A function that records a study with scored films and returns its id and theirs."""
    with transaction() as session:
        version = ModelVersion(version="v", sha256="0" * 64, card=card(), report=Report())
        submission = Submission(
            id="s", source="pacs", request_id="1", content_sha256="0" * 64, priority=1, refused=[], extra={}
        )
        session.add_all([version, submission])
        session.flush()
        version_id = version.id

    def record(*contents: str, patient: str | None = None) -> tuple[int, list[int]]:
        with transaction() as session:
            study = Study(submission_id="s", patient_key=patient)
            session.add(study)
            session.flush()
            films = []
            for content in contents:
                prediction = session.scalar(select(Prediction).where(Prediction.image_sha256 == content)) or Prediction(
                    image_sha256=content, model_version_id=version_id, label="Effusions", probability=0.9,
                    probabilities={"Effusions": 0.9},
                )  # fmt: skip
                film = Image(
                    study=study, root="archive", path=content, sha256=content, priority=1, state=ImageState.SCORED,
                    prediction=prediction,
                )  # fmt: skip
                session.add(film)
                films.append(film)
            session.flush()
            return study.id, [film.id for film in films]

    return record


def review(study_id, by, *findings, verdict=Verdict.CORRECT, image_id=None):
    with transaction() as session:
        return reviews.add(session, study_id, by=by, verdict=verdict, findings=findings, image_id=image_id)


def labels():
    with reading() as session:
        confirmed, left_out = reviews.confirmed_labels(session)
        return {label.image_id: label.finding for label in confirmed}, left_out


def test_a_review_stores_the_reviewer_the_findings_and_the_version(scored):
    """The newest review comes first; an older one is never overwritten."""
    study, _ = scored("a")
    review(study, "ann", "Pneumothorax")
    review(study, "ann", verdict=Verdict.AGREE)

    with reading() as session:
        newest, oldest = reviews.of_study(session, study)

    assert (["Pneumothorax"], ["Effusions"]) == (oldest.findings, newest.findings)
    assert ("ann", 1) == (newest.reviewed_by, newest.model_version_id)


@pytest.mark.parametrize(
    "findings", [(), ("No-Findings", "Effusions")], ids=["no finding named", "nothing and something"]
)
def test_a_review_without_a_finding_or_with_a_contradiction_is_refused(scored, findings):
    """No-Findings excludes every other finding."""
    study, _ = scored("a")

    with pytest.raises(InvalidReview):
        review(study, "ann", *findings)


def test_a_film_that_is_not_scored_has_no_result_to_review(scored):
    """The message says so."""
    scored("a")

    with pytest.raises(InvalidReview, match="no scored film"):
        review(99, "ann", "Effusions")


def test_reviewers_who_agree_confirm_a_label(scored):
    """One may have corrected the result and the other agreed with it."""
    study, (film,) = scored("a")
    review(study, "ann", "Effusions")
    review(study, "bob", verdict=Verdict.AGREE)

    assert ({film: "Effusions"}, []) == labels()


def test_reviewers_who_disagree_confirm_no_label_and_the_film_is_listed(scored):
    """The reason is `conflict`."""
    study, (film,) = scored("a")
    review(study, "ann", "Pneumothorax")
    review(study, "bob", verdict=Verdict.AGREE)

    assert ({}, [LeftOutReview(film, "conflict")]) == labels()


def test_only_the_newest_review_of_a_reviewer_counts(scored):
    """A reviewer may change their mind."""
    study, (film,) = scored("a")
    review(study, "ann", "Pneumothorax")
    review(study, "ann", "Opacity")

    assert ({film: "Opacity"}, []) == labels()


def test_a_review_of_a_study_with_two_films_confirms_no_label(scored):
    """The reviewer must name the film on which a finding shows."""
    study, (first, second) = scored("a", "b")
    review(study, "ann", "Pneumothorax")
    assert ({}, [LeftOutReview(first, "which_film"), LeftOutReview(second, "which_film")]) == labels()

    review(study, "ann", "Pneumothorax", image_id=second)
    confirmed, left_out = labels()

    assert {second: "Pneumothorax"} == confirmed
    assert [LeftOutReview(first, "which_film")] == left_out


def test_no_findings_of_a_study_holds_for_each_of_its_films(scored):
    """This is the one finding that needs no named film."""
    study, films = scored("a", "b")
    review(study, "ann", "No-Findings")

    assert dict.fromkeys(films, "No-Findings") == labels()[0]


def test_different_reviews_of_the_same_content_in_two_studies_are_a_conflict(scored):
    """Both films are listed."""
    first, (film,) = scored("a")
    second, (again,) = scored("a")
    review(first, "ann", "Opacity")
    review(second, "bob", "Pneumothorax")

    confirmed, left_out = labels()

    assert {} == confirmed
    assert {film, again} == {entry.image_id for entry in left_out}


def test_a_review_with_several_findings_confirms_no_label(scored):
    """The networks predict one finding for each film."""
    study, (film,) = scored("a")
    review(study, "ann", "Opacity", "Effusions")

    assert ({}, [LeftOutReview(film, "several_findings")]) == labels()


def test_films_of_one_patient_share_the_senders_pseudonym(scored):
    """Without a pseudonym, the study stands for the patient."""
    first, _ = scored("a", patient="p1")
    second, _ = scored("b", patient="p1")
    third, _ = scored("c")
    for study in (first, second, third):
        review(study, "ann", "Opacity")

    with reading() as session:
        confirmed, _ = reviews.confirmed_labels(session)

    assert ["pacs/p1", "pacs/p1", f"study {third}"] == [label.patient for label in confirmed]
