"""The states of an image, one function of the ledger at a time."""

from datetime import timedelta

import pytest
from cards import card
from sqlalchemy import select, update

from worker.database import now, reading, transaction
from worker.errors import Reason
from worker.models.documents.report import Report
from worker.models.records import ModelVersion
from worker.studies import claim_order, ledger
from worker.studies.claims import Rejected, Scored
from worker.studies.records import Image, ImageState, Prediction, Priority, Rejection, Study, Submission

LIMITS = {"limit": 4, "lease_seconds": 60, "max_attempts": 3}


@pytest.fixture
def waiting(database):
    """Six waiting images: three routine, then three urgent ones; ids 1 to 6."""
    with transaction() as session:
        session.add(ModelVersion(id=1, version="m-1", sha256="0" * 64, card=card(), report=Report()))
        submission = Submission(
            id="s", source="t", request_id="r", content_sha256="", priority=1, refused=[], extra={}, studies=[Study()]
        )
        submission.studies[0].images = [
            Image(id=number, root="images", path=f"{number}.png", priority=priority)
            for number, priority in enumerate([Priority.ROUTINE] * 3 + [Priority.URGENT] * 3, start=1)
        ]
        session.add(submission)


def claim(owner="a", **more):
    with transaction() as session:
        return [claimed.image_id for claimed in ledger.claim(session, owner, **LIMITS | more)]


def claim_again(owner="a"):
    """Claim as the redelivered message of a process that died does."""
    with transaction() as session:
        ledger.reclaim(session, owner)
        return [claimed.image_id for claimed in ledger.claim(session, owner, **LIMITS)]


def record(outcomes, owner="a"):
    with transaction() as session:
        return ledger.record(session, owner, outcomes, 1)


def scored(image_id, content=None):
    return Scored(image_id, (content or str(image_id)) * 64, {"Effusions": 0.75, "No-Findings": 0.25})


def image(image_id):
    with reading() as session:
        return session.get(Image, image_id)


def test_urgent_images_are_claimed_first_and_then_the_oldest(waiting):
    """Claims are ordered by priority, then by age."""
    assert [4, 5, 6, 1] == claim()
    assert [2, 3] == claim("b")
    assert [] == claim("c")


def test_an_outcome_is_recorded_once_with_its_probabilities(waiting):
    """A scored image has its prediction and is no longer leased; a second record changes nothing."""
    claim()

    assert 1 == record([scored(4)])
    assert 0 == record([scored(4)])

    assert (ImageState.SCORED, None, 1) == (image(4).state, image(4).owner, image(4).attempts)
    with reading() as session:
        prediction = session.scalars(select(Prediction)).one()
        assert ("Effusions", 0.75) == (prediction.label, prediction.probability)
        assert {"Effusions": 0.75, "No-Findings": 0.25} == prediction.probabilities


def test_equal_contents_share_one_prediction(waiting):
    """There is one prediction for each image content and version, in one batch or in several."""
    claim()
    claim("b")

    record([scored(4, "x"), scored(5, "x")])
    record([scored(2, "x")], "b")

    with reading() as session:
        assert 1 == len(session.scalars(select(Prediction)).all())
    assert image(4).prediction_id == image(5).prediction_id == image(2).prediction_id


def test_a_rejection_is_stored_with_its_reason(waiting):
    """The other images of the batch are scored."""
    claim()

    record([scored(4), Rejected(5, None, Reason.CORRUPT, "damaged")])

    with reading() as session:
        rejection = session.scalars(select(Rejection)).one()
    assert (5, "corrupt", "damaged") == (rejection.image_id, rejection.reason, rejection.detail)
    assert (ImageState.REJECTED, ImageState.SCORED) == (image(5).state, image(4).state)


def test_a_batch_whose_process_died_is_tried_again_one_by_one(waiting):
    """The same owner claims each image alone, so that a film that kills the process takes no other with it."""
    assert [4, 5, 6, 1] == claim()

    assert [4] == claim_again()
    record([scored(4)])
    assert [5] == claim_again()
    record([scored(5)])
    assert (2, 2) == (image(4).attempts, image(5).attempts)


def test_a_film_that_kills_its_process_is_rejected_after_three_attempts(waiting):
    """The other films of its batch are scored."""
    claim()
    deaths = 0
    finished = set()
    while claimed := claim_again():
        for image_id in claimed:
            if image_id == 5:
                deaths += 1
                break
            record([scored(image_id)])
            finished.add(image_id)

    assert 2 == deaths
    assert {1, 2, 3, 4, 6} == finished
    with reading() as session:
        assert [(5, "crashed_the_worker")] == session.execute(select(Rejection.image_id, Rejection.reason)).all()


def test_a_film_that_must_be_alone_waits_until_nothing_is_in_flight(waiting):
    """While others are in flight, neither it nor a later film is claimed; otherwise it is claimed first."""
    claim()
    with transaction() as session:
        ledger.reclaim(session, "a")

    assert [] == claim("b", others_in_flight=True)
    assert [4] == claim("b")


def test_overdue_images_get_a_share_of_the_batch(waiting):
    """Routine films are scored while urgent ones keep coming, and an urgent film is still in the next batch."""
    late = {Priority.ROUTINE: timedelta(minutes=30)}
    assert [4, 5, 6] == claim("b", limit=3, max_wait=late)
    with transaction() as session:
        ledger.reclaim(session, "b")
        session.execute(update(Image).values(attempts=0))
        session.execute(update(Image).where(Image.id == 1).values(received_at=now() - timedelta(hours=1)))

    assert [4, 5, 1] == claim(limit=3, max_wait=late)


def test_an_image_whose_lease_expired_can_be_claimed_by_another_owner(waiting):
    """The first owner, which comes back late, can record nothing."""
    claim()
    with transaction() as session:
        session.execute(update(Image).where(Image.id == 4).values(lease_until=now() - timedelta(seconds=1)))
        assert 1 == ledger.expire_leases(session)

    assert 0 == record([scored(4)])
    assert [4] == claim("b")
    assert 1 == record([scored(4)], "b")


def test_an_owner_records_nothing_of_an_image_that_another_owner_holds(waiting):
    """Its lease ended, and the other one is at work: the image is still that one's, and gets that one's outcome."""
    claim()
    with transaction() as session:
        session.execute(update(Image).where(Image.id == 4).values(lease_until=now() - timedelta(seconds=1)))
        ledger.expire_leases(session)
    claim("b", limit=1)

    assert 0 == record([scored(4)], "a")
    assert 0 == record([Rejected(4, None, Reason.CORRUPT, "late")], "a")

    assert (ImageState.SCORING, "b", None) == (image(4).state, image(4).owner, image(4).prediction_id)
    assert 1 == record([scored(4)], "b")


def test_a_postponed_image_waits_for_a_while_uncharged(waiting):
    """Its attempt is given back."""
    claim()
    with transaction() as session:
        ledger.postpone(session, "a", [4])

    assert (ImageState.WAITING, 0) == (image(4).state, image(4).attempts)
    assert image(4).not_before > now()
    assert [2, 3] == claim("b")


def test_any_waiting_says_whether_an_image_can_be_claimed(waiting):
    """The sweeper sends wake-ups only in that case."""
    with reading() as session:
        assert claim_order.any_waiting(session)
    claim()
    claim("b")
    with reading() as session:
        assert not claim_order.any_waiting(session)
