"""The result of a study, which the ledger keeps up to date."""

import pytest
from cards import card
from sqlalchemy import select

from worker.database import reading, transaction
from worker.errors import Reason
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.studies import ledger
from worker.studies.claims import Rejected, Scored
from worker.studies.records import Image, Study, Submission


@pytest.fixture
def study(database):
    """One study of three waiting films, claimed by `a`."""
    with transaction() as session:
        session.add(ModelVersion(id=1, version="m-1", sha256="0" * 64, card=card(), report=Report()))
        study = Study(id=1, images=[Image(id=n, root="images", path=f"{n}.png", priority=1) for n in (1, 2, 3)])
        session.add(
            Submission(
                id="s", source="t", request_id="r", content_sha256="", priority=1, refused=[], extra={}, studies=[study]
            )
        )
        session.flush()
        ledger.claim(session, "a", limit=9, lease_seconds=60, max_attempts=3)


def record(*outcomes):
    with transaction() as session:
        ledger.record(session, "a", outcomes, 1)


def scored(image_id, **probabilities):
    return Scored(image_id, str(image_id) * 64, {name.replace("_", "-"): p for name, p in probabilities.items()})


def result():
    with reading() as session:
        study = session.get_one(Study, 1)
        findings = {name: (deciding["probability"], deciding["image_id"]) for name, deciding in study.findings.items()}
        return study.state, study.label, study.probability, study.finished_at, findings


def test_a_study_waits_without_a_result(study):
    """It has no label before a film is scored."""
    assert ("waiting", None, None, None, {}) == result()


def test_the_result_is_the_highest_and_for_no_findings_the_lowest_and_names_the_film(study):
    """The result is the same whether the films come in one batch or in several."""
    record(scored(1, Effusions=0.1, No_Findings=0.9))
    state, label, probability, finished_at, _ = result()
    assert ("waiting", "No-Findings", 0.9, None) == (state, label, probability, finished_at)

    record(scored(2, Effusions=0.8, No_Findings=0.2), Rejected(3, None, Reason.CORRUPT, "damaged"))

    state, label, probability, finished_at, findings = result()
    assert ("scored", "Effusions", 0.8) == (state, label, probability)
    assert {"Effusions": (0.8, 2), "No-Findings": (0.2, 2)} == findings
    with reading() as session:
        assert finished_at == session.get_one(Image, 3).finished_at


def test_between_equal_films_the_first_decides_and_between_equal_findings_the_first_by_name(study):
    """The order in which films are scored does not change the result."""
    record(scored(3, Pneumonia=0.4, Effusions=0.4))
    record(scored(1, Pneumonia=0.4, Effusions=0.4), scored(2, Pneumonia=0.4, Effusions=0.4))

    _, label, _, _, findings = result()
    assert "Effusions" == label
    assert {"Pneumonia": (0.4, 1), "Effusions": (0.4, 1)} == findings


def test_a_study_whose_films_were_all_rejected_is_rejected(study):
    """It has no finding."""
    record(*(Rejected(image_id, None, Reason.BLANK, "blank") for image_id in (1, 2, 3)))

    state, label, probability, finished_at, findings = result()
    assert ("rejected", None, None, {}) == (state, label, probability, findings)
    assert finished_at is not None


def test_a_film_that_killed_its_process_finishes_its_study(study):
    """A rejection made by a claim updates the result too."""
    record(scored(1, Effusions=0.6), scored(2, Effusions=0.5))
    for _ in range(3):
        with transaction() as session:
            ledger.reclaim(session, "a")
            ledger.claim(session, "a", limit=9, lease_seconds=60, max_attempts=3)

    assert ("scored", "Effusions") == result()[:2]


def test_two_workers_that_finish_a_study_at_once_see_each_other(database):
    """Neither leaves the study waiting."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    with transaction() as session:
        session.add(ModelVersion(id=1, version="m-1", sha256="0" * 64, card=card(), report=Report()))
        studies = [
            Study(id=n, images=[Image(id=10 * n + k, root="images", path="p", priority=1) for k in (1, 2)])
            for n in range(1, 9)
        ]
        session.add(
            Submission(
                id="s", source="t", request_id="r", content_sha256="", priority=1, refused=[], extra={}, studies=studies
            )
        )
        session.flush()
        for k, owner in ((1, "a"), (2, "b")):
            for image in session.scalars(select(Image).where(Image.id % 10 == k)):
                image.state, image.owner, image.attempts = "scoring", owner, 1
    together = Barrier(2)

    def finish(k, owner):
        outcomes = [Scored(10 * n + k, f"{n:063}{k}", {"Effusions": k / 10}) for n in range(1, 9)]
        together.wait()
        with transaction() as session:
            ledger.record(session, owner, outcomes, 1)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(finish, (1, 2), ("a", "b")))

    with reading() as session:
        assert {("scored", 0.2)} == set(session.execute(select(Study.state, Study.probability)).all())
