"""Every change of an image's state while it is scored: claim, record, release, expire.

What a person asks for (replay, cancel) is in `worker.studies.rejected_films`; nothing else writes those states.

With an image's outcome its study's result is brought up to date, in the same transaction.

An image that has attempts left is always waiting, or under a lease that ends; so whatever dies, it is found again.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta

from sqlalchemy import ColumnElement, bindparam, select, update
from sqlalchemy.orm import Session

from worker.database import now
from worker.errors import Reason
from worker.films.summary import FilmLook
from worker.studies import predictions, results
from worker.studies.claim_order import Candidate, candidates
from worker.studies.records import Image, ImageState, Priority, Rejection

#: After trouble outside, an image waits this long before it is tried again.
PAUSE_SECONDS = 30
#: What is stored of a film that nobody looked at.
NO_LOOK = dict.fromkeys((field.name for field in fields(FilmLook)), None)


@dataclass(frozen=True)
class Claim:
    """One image that its owner may score until the lease ends."""

    image_id: int
    root: str
    path: str
    #: What the sender announced, if it did.
    sha256: str | None
    #: This claim counted in; from the second on an image is claimed alone.
    attempt: int = 1


@dataclass(frozen=True)
class Scored:
    """A film and what the network said of it."""

    image_id: int
    sha256: str
    #: Finding -> probability in [0, 1].
    probabilities: Mapping[str, float]
    #: For the watch over inputs, where it was taken.
    look: FilmLook | None = None


@dataclass(frozen=True)
class Rejected:
    """A film that cannot be scored, and why."""

    image_id: int
    sha256: str | None
    reason: Reason
    detail: str


def claim(  # noqa: PLR0913 - each is a limit of its own
    session: Session,
    owner: str,
    *,
    limit: int,
    lease_seconds: int,
    max_attempts: int,
    max_wait: Mapping[Priority, timedelta] = types.MappingProxyType({}),
    together: bool = False,
) -> list[Claim]:
    """Lease up to `limit` images to `owner`, most urgent and oldest first, and count the attempt.

    Whatever was tried before is leased alone, so that a film which kills the process takes no other with it; after
    `max_attempts` such deaths it is rejected.

    Args:
        session: in a transaction that the caller commits before a byte is decoded.
        owner: who scores them.
        limit: images of one batch.
        lease_seconds: until the claim is void.
        max_attempts: claims that an image may have had before it is given up.
        max_wait: those that waited longer get a share of the batch, however many more urgent ones there are.
        together: the owner works on others; an image that must be alone is not leased now, nor is any that comes after.
    """
    while images := candidates(session, limit, max_wait):
        spent = [image for image in images if image.attempts >= max_attempts]
        if not spent:
            if images[0].attempts and together:
                return []
            return _lease(session, owner, images, lease_seconds)
        for image in session.scalars(select(Image).where(Image.id.in_([row.id for row in spent]))):
            detail = f"scoring this film ended or hung its process {image.attempts} times"
            _reject(session, image, Reason.CRASHED_THE_WORKER, detail)
        session.flush()
        results.update(session, [image.id for image in spent])
    return []


def reclaim(session: Session, owner: str) -> int:
    """Let the images wait again that `owner` had claimed before its process died, and return how many.

    A message that is delivered anew begins with this: its films need not wait for their leases to end. The attempts
    stay counted.
    """
    return _return_to_waiting(session, Image.owner == owner)


def _lease(session: Session, owner: str, images: Sequence[Candidate], lease_seconds: int) -> list[Claim]:
    session.execute(
        update(Image)
        .where(Image.id.in_([image.id for image in images]))
        .values(
            state=ImageState.SCORING,
            owner=owner,
            attempts=Image.attempts + 1,
            lease_until=now() + timedelta(seconds=lease_seconds),
            not_before=None,
        )
        .execution_options(synchronize_session=False)
    )
    return [Claim(image.id, image.root, image.path, image.sha256, image.attempts + 1) for image in images]


def record(session: Session, owner: str, outcomes: Sequence[Scored | Rejected], model_version_id: int) -> int:
    """Write the outcomes of a batch and return how many were still the owner's to write.

    An image whose lease was lost in the meantime is left to its new owner; a prediction that exists is kept.
    """
    ids = [outcome.image_id for outcome in outcomes]
    ours = Image.id.in_(ids), Image.owner == owner, Image.state == ImageState.SCORING
    held = set(session.scalars(select(Image.id).where(*ours).order_by(Image.id).with_for_update()))
    scored = [outcome for outcome in outcomes if isinstance(outcome, Scored) and outcome.image_id in held]
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejected) and outcome.image_id in held]
    kept = predictions.save(session, {film.sha256: film.probabilities for film in scored}, model_version_id)
    _finish_scored(session, scored, kept)
    for outcome in rejected:
        image = session.get_one(Image, outcome.image_id)
        _reject(session, image, outcome.reason, outcome.detail, outcome.sha256)
    session.flush()
    results.update(session, list(held))
    return len(held)


def _finish_scored(session: Session, scored: Sequence[Scored], kept: Mapping[str, int]) -> None:
    """Write what came of scored films, in one statement for each film: no object is built for any."""
    if not scored:
        return
    ended = {"state": ImageState.SCORED, "owner": None, "lease_until": None, "finished_at": now()}
    rows = [
        {
            "image_id": film.image_id,
            "sha256": film.sha256,
            "prediction_id": kept[film.sha256],
            **(asdict(film.look) if film.look else NO_LOOK),
            **ended,
        }
        for film in scored
    ]
    session.connection().execute(update(Image).where(Image.id == bindparam("image_id")), rows)


def postpone(session: Session, owner: str, image_ids: Sequence[int], *, charged: bool = False) -> None:
    """Give images back, to wait again after a pause.

    Args:
        session: in a transaction.
        owner: who holds them; another's are left alone.
        image_ids: whose.
        charged: False after trouble outside, which is no fault of theirs. True where a decoder died or failed: each is
            then claimed alone. What befell them may befall others, and must not empty the queue before anybody sees it.
    """
    session.execute(
        update(Image)
        .where(Image.id.in_(image_ids), Image.owner == owner, Image.state == ImageState.SCORING)
        .values(
            state=ImageState.WAITING,
            owner=None,
            lease_until=None,
            attempts=Image.attempts if charged else Image.attempts - 1,
            not_before=now() + timedelta(seconds=PAUSE_SECONDS),
        )
    )


def return_uncharged(session: Session, owner: str) -> int:
    """Give all that an owner holds back uncharged, and return how many: an outage kept it from recording them."""
    return _return_to_waiting(session, Image.owner == owner, charged=False)


def refund_attempts(session: Session) -> int:
    """Take one attempt off every image under a lease, and return how many: its owner met an outage, whatever it did."""
    refunded = update(Image).where(Image.state == ImageState.SCORING, Image.attempts > 0)
    return len(session.scalars(refunded.values(attempts=Image.attempts - 1).returning(Image.id)).all())


def expire_leases(session: Session) -> int:
    """Put images back whose lease has ended, the attempt charged, and return how many."""
    return _return_to_waiting(session, Image.lease_until < now())


def _return_to_waiting(session: Session, condition: ColumnElement[bool], *, charged: bool = True) -> int:
    attempts = Image.attempts if charged else Image.attempts - 1
    ended = session.scalars(
        update(Image)
        .where(Image.state == ImageState.SCORING, condition)
        .values(state=ImageState.WAITING, owner=None, lease_until=None, attempts=attempts)
        .returning(Image.id)
    )
    return len(ended.all())


def rescore(session: Session, study_ids: Sequence[int]) -> int:
    """Put the scored films of studies back, to be scored by the active version after all else, and return how many.

    Every prediction stays; a film that cannot be scored again gets its last one back. `finished_at` stays, too, and
    tells such a film from a new one.
    """
    again = session.scalars(
        update(Image)
        .where(Image.study_id.in_(study_ids), Image.state == ImageState.SCORED)
        .values(state=ImageState.WAITING, prediction_id=None, attempts=0, priority=Priority.OFFPEAK)
        .returning(Image.id)
    ).all()
    results.forget(session, again)
    results.update(session, again)
    return len(again)


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
    image.owner = None
    image.lease_until = None
    image.finished_at = now()
