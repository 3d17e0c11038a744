"""The ledger: every change of an image's state is a function of this module, and no other module writes one.

    waiting -> scoring           claim
    scoring -> scored, rejected  record
    scoring -> waiting           reclaim, postpone, postpone_faulty, return_uncharged, expire_leases
    waiting -> rejected          claim (too many attempts), withdraw
    rejected -> waiting          replay
    scored -> waiting            rescore

Each function works in the caller's transaction and updates the result of the image's study in it.

An image that has attempts left is either waiting or under a lease that ends, so no crash can lose it.
"""

import types
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, bindparam, select, update
from sqlalchemy.orm import Session

from worker.database import clock, now
from worker.errors import Reason
from worker.studies import predictions, results
from worker.studies.claim_order import Candidate, candidates
from worker.studies.claims import Claim, Rejected, Scored
from worker.studies.records import Image, ImageState, Priority, Rejection, Submission

#: How long an image waits after `postpone` before it can be claimed again.
PAUSE_SECONDS = 30
#: How long an image waits after a fault of this program. Trying again helps only once the program is mended, and ten
#: thousand such films must not keep a worker busy.
FAULT_PAUSE_SECONDS = 600
#: Attempts of a replayed film that had crashed the worker: one, so that it is claimed alone.
ATTEMPTS_THAT_CLAIM_ALONE = 1
#: The columns of a film's summary (`worker.films.summary`).
SUMMARY_COLUMNS = ("grey_mean", "grey_spread", "height_pixels", "width_pixels")


def claim(  # noqa: PLR0913 - each is a limit of its own
    session: Session,
    owner: str,
    *,
    limit: int,
    lease_seconds: int,
    max_attempts: int,
    max_wait: Mapping[Priority, timedelta] = types.MappingProxyType({}),
    others_in_flight: bool = False,
) -> list[Claim]:
    """Lease up to `limit` images to `owner`, most urgent and oldest first, and count the attempt.

    An image that was tried before is leased alone, so that a film which kills the process takes no other film with
    it. After `max_attempts` attempts that killed or hung the process, the image is rejected.

    Args:
        session: in a transaction that the caller commits before any byte is decoded.
        owner: who scores the images: the id of a task.
        limit: the most images of one batch.
        lease_seconds: how long the claim holds.
        max_attempts: an image that has been claimed this often is rejected instead of claimed again.
        max_wait: images that have waited longer get a share of the batch, however many more urgent ones there are.
        others_in_flight: whether the owner still works on other images. If so, an image that must be scored alone is
            not leased now, and neither is any image that comes after it.
    """
    while images := candidates(session, limit, max_wait):
        spent = [image for image in images if image.attempts >= max_attempts]
        if not spent:
            if images[0].attempts and others_in_flight:
                return []
            return _lease(session, owner, images, lease_seconds)
        for image in session.scalars(select(Image).where(Image.id.in_([row.id for row in spent]))):
            detail = f"scoring this film ended or hung its process {image.attempts} times"
            _reject(session, image, Reason.CRASHED_THE_WORKER, detail)
        session.flush()
        results.update(session, [image.id for image in spent])
    return []


def _lease(session: Session, owner: str, images: Sequence[Candidate], lease_seconds: int) -> list[Claim]:
    session.execute(
        update(Image)
        .where(Image.id.in_([image.id for image in images]))
        .values(
            state=ImageState.SCORING,
            owner=owner,
            attempts=Image.attempts + 1,
            lease_until=clock(timedelta(seconds=lease_seconds)),
            not_before=None,
        )
        .execution_options(synchronize_session=False)
    )
    return [Claim(image.id, image.root, image.path, image.sha256, image.attempts + 1) for image in images]


def held(session: Session, owner: str, known: Collection[int]) -> list[Claim]:
    """Return the claims of `owner` on images that are not `known` to it: a claim was committed and its answer lost."""
    query = select(Image).where(Image.owner == owner, Image.state == ImageState.SCORING, Image.id.not_in(known))
    return [
        Claim(image.id, image.root, image.path, image.sha256, image.attempts)
        for image in session.scalars(query.order_by(Image.priority, Image.id))
    ]


def record(session: Session, owner: str, outcomes: Sequence[Scored | Rejected], model_version_id: int) -> int:
    """Write the outcomes of a batch and return how many images the owner still held.

    An image whose lease has passed to another owner is left to that owner. An existing prediction is not overwritten.
    """
    ids = [outcome.image_id for outcome in outcomes]
    ours = Image.id.in_(ids), Image.owner == owner, Image.state == ImageState.SCORING
    held = set(session.scalars(select(Image.id).where(*ours).order_by(Image.id).with_for_update()))
    scored = [outcome for outcome in outcomes if isinstance(outcome, Scored) and outcome.image_id in held]
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected) and outcome.image_id in held]
    prediction_ids = predictions.save(session, {film.sha256: film.probabilities for film in scored}, model_version_id)
    _finish_scored(session, scored, prediction_ids)
    for outcome in rejected:
        image = session.get_one(Image, outcome.image_id)
        _reject(session, image, outcome.reason, outcome.detail, outcome.sha256)
    session.flush()
    results.update(session, list(held))
    return len(held)


def _finish_scored(session: Session, scored: Sequence[Scored], prediction_ids: Mapping[str, int]) -> None:
    """Write the scored films with one statement for each film; no ORM object is built."""
    if not scored:
        return
    finished = {"state": ImageState.SCORED, "owner": None, "lease_until": None, "finished_at": now()}
    rows = [
        {
            "image_id": film.image_id,
            "sha256": film.sha256,
            "prediction_id": prediction_ids[film.sha256],
            **{column: film.summary.get(column) for column in SUMMARY_COLUMNS},
            **finished,
        }
        for film in scored
    ]
    session.connection().execute(update(Image).where(Image.id == bindparam("image_id")), rows)


def reclaim(session: Session, owner: str) -> int:
    """Let the images that `owner` claimed before its process died wait again, and return how many.

    A redelivered message calls this first, so that its films need not wait for their leases to end. The attempts stay
    charged.
    """
    return _return_to_waiting(session, Image.owner == owner)


def postpone(session: Session, owner: str, image_ids: Sequence[int], *, charged: bool = False) -> None:
    """Let images wait again, after a pause of `PAUSE_SECONDS`.

    Args:
        session: in a transaction.
        owner: who holds the images; images of other owners are left alone.
        image_ids: the images.
        charged: False after trouble outside the film: the attempt is given back. True after a decoder died: the attempt
            counts, and each image is claimed alone from then on. The pause keeps a failure that hits every film from
            rejecting the whole queue before anyone notices.
    """
    _postpone(session, owner, image_ids, PAUSE_SECONDS, charged=charged)


def postpone_faulty(session: Session, owner: str, image_ids: Sequence[int]) -> None:
    """Let images that met a fault of this program wait again, uncharged, after a pause of `FAULT_PAUSE_SECONDS`.

    They are never rejected for it: once the fault is mended, they are scored. Arguments as for `postpone`.
    """
    _postpone(session, owner, image_ids, FAULT_PAUSE_SECONDS, charged=False)


def _postpone(session: Session, owner: str, image_ids: Sequence[int], pause_seconds: int, *, charged: bool) -> None:
    session.execute(
        update(Image)
        .where(Image.id.in_(image_ids), Image.owner == owner, Image.state == ImageState.SCORING)
        .values(
            state=ImageState.WAITING,
            owner=None,
            lease_until=None,
            attempts=Image.attempts if charged else Image.attempts - 1,
            not_before=clock(timedelta(seconds=pause_seconds)),
        )
    )


def return_uncharged(session: Session, owner: str) -> int:
    """Let all images of `owner` wait again, give their attempt back, and return how many.

    The caller uses it after an outage kept the owner from recording its images.
    """
    return _return_to_waiting(session, Image.owner == owner, charged=False)


def refund_attempts(session: Session) -> int:
    """Take one attempt off every image under a lease and return how many; the images stay leased.

    The caller uses it after an outage, because the outage may have ended any owner's process.
    """
    refund = update(Image).where(Image.id.in_(_unlocked(Image.state == ImageState.SCORING, Image.attempts > 0)))
    return len(session.scalars(refund.values(attempts=Image.attempts - 1).returning(Image.id)).all())


def expire_leases(session: Session) -> int:
    """Let the images whose lease has ended wait again, and return how many. The attempts stay charged."""
    expired = _unlocked(Image.state == ImageState.SCORING, Image.lease_until < clock())
    return _return_to_waiting(session, Image.id.in_(expired))


def _unlocked(*conditions: ColumnElement[bool]) -> Select[int]:
    """Return the query for the ids of images that no other transaction has locked.

    A process that stands still in a transaction keeps its locks for a while; the sweep must not wait for it.
    """
    return select(Image.id).where(*conditions).with_for_update(skip_locked=True)


def _return_to_waiting(session: Session, condition: ColumnElement[bool], *, charged: bool = True) -> int:
    attempts = Image.attempts if charged else Image.attempts - 1
    returned = session.scalars(
        update(Image)
        .where(Image.state == ImageState.SCORING, condition)
        .values(state=ImageState.WAITING, owner=None, lease_until=None, attempts=attempts)
        .returning(Image.id)
    )
    return len(returned.all())


def rescore(session: Session, study_ids: Sequence[int]) -> int:
    """Let the scored films of these studies wait again, behind all other films, and return how many.

    Every prediction stays. If a film cannot be scored again, it gets its newest prediction back. `finished_at` stays
    too, and tells such a film from a new one.
    """
    image_ids = session.scalars(
        update(Image)
        .where(Image.study_id.in_(study_ids), Image.state == ImageState.SCORED)
        .values(state=ImageState.WAITING, prediction_id=None, attempts=0, priority=Priority.OFFPEAK)
        .returning(Image.id)
    ).all()
    results.forget(session, image_ids)
    results.update(session, image_ids)
    return len(image_ids)


def replay(session: Session, images: Sequence[Image], by: str) -> None:
    """Let rejected images wait again with a new series of attempts; each rejection stays in its row.

    Args:
        session: in a transaction.
        images: rejected, and locked by the caller.
        by: who asked for it.
    """
    for image in images:
        if rejection := image.rejection:
            rejection.replayed_at, rejection.replayed_by = now(), by
            image.state, image.finished_at, image.not_before = ImageState.WAITING, None, None
            crashed = rejection.reason == Reason.CRASHED_THE_WORKER
            image.attempts = ATTEMPTS_THAT_CLAIM_ALONE if crashed else 0
    session.flush()
    results.update(session, [image.id for image in images])


def withdraw(session: Session, images: Sequence[Image], by: str) -> None:
    """Reject waiting images as `cancelled`.

    Args:
        session: in a transaction.
        images: waiting, never finished, and locked by the caller.
        by: who asked for it.
    """
    for image in images:
        _reject(session, image, Reason.CANCELLED, f"withdrawn by {by}")
    session.flush()
    results.update(session, [image.id for image in images])


def close(session: Session, submission: Submission) -> None:
    """Take no more films for an open submission, so that its studies are finished when their films are.

    Args:
        session: in a transaction.
        submission: open, and locked by the caller.
    """
    submission.open = False
    session.flush()
    results.update(session, [image.id for study in submission.studies for image in study.images])


def _reject(session: Session, image: Image, reason: Reason, detail: str, sha256: str | None = None) -> None:
    if image.finished_at and (earlier := predictions.newest_id(session, image.sha256)):
        image.prediction_id = earlier
        _finish(image, ImageState.SCORED)
        return
    image.sha256 = sha256 or image.sha256
    session.add(Rejection(image_id=image.id, reason=reason, detail=detail, attempts=image.attempts))
    _finish(image, ImageState.REJECTED)


def _finish(image: Image, state: ImageState) -> None:
    image.state = state
    image.owner = image.lease_until = image.not_before = None
    image.finished_at = now()
