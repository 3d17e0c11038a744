"""Every change of an image's state: claim, record, release, expire. The only writer of those states.

With an image's outcome its study's result is brought up to date, in the same transaction.

An image that has attempts left is always waiting, or under a lease that ends; so whatever dies, it is found again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker import study_results
from worker.database import now
from worker.errors import Reason
from worker.records import FindingProbability, Image, ImageState, Prediction, Rejection

#: After trouble outside, an image waits this long before it is tried again.
PAUSE_SECONDS = 30


@dataclass(frozen=True)
class Claim:
    """One image that its owner may score until the lease ends."""

    image_id: int
    root: str
    path: str
    #: What the sender announced, if it did.
    sha256: str | None


@dataclass(frozen=True)
class Scored:
    """A film and what the network said of it."""

    image_id: int
    sha256: str
    #: Finding -> probability in [0, 1].
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Rejected:
    """A film that cannot be scored, and why."""

    image_id: int
    sha256: str | None
    reason: Reason
    detail: str


def claim(session: Session, owner: str, *, limit: int, lease_seconds: int, max_attempts: int) -> list[Claim]:
    """Lease up to `limit` images to `owner`, most urgent and oldest first, and count the attempt.

    An owner that comes again (its process died, its message was delivered anew) gets its own images first. Whatever
    was tried before is leased alone, so that a film which kills the process takes no other with it; after
    `max_attempts` such deaths it is rejected.
    """
    while images := _candidates(session, owner, limit):
        spent = [image for image in images if image.attempts >= max_attempts]
        if not spent:
            return [_lease(image, owner, lease_seconds) for image in images]
        for image in spent:
            detail = f"the process died {image.attempts} times while it scored this film"
            _reject(session, image, Reason.CRASHED_THE_WORKER, detail)
        session.flush()
        study_results.update(session, [image.id for image in spent])
    return []


def _candidates(session: Session, owner: str, limit: int) -> Sequence[Image]:
    """Return unclaimed images of attempt 0 to score together, or one image that was tried before."""
    own = session.scalars(
        select(Image)
        .where(Image.owner == owner, Image.state == ImageState.SCORING)
        .order_by(Image.attempts, Image.priority, Image.id)
        .limit(1)
    ).all()
    if own:
        return own
    waiting = session.scalars(
        select(Image)
        .where(_claimable())
        .order_by(Image.priority, Image.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if waiting and waiting[0].attempts:
        return waiting[:1]
    return [image for image in waiting if not image.attempts]


def _claimable() -> ColumnElement[bool]:
    return (Image.state == ImageState.WAITING) & or_(Image.not_before.is_(None), Image.not_before <= now())


def _lease(image: Image, owner: str, lease_seconds: int) -> Claim:
    image.state = ImageState.SCORING
    image.owner = owner
    image.attempts += 1
    image.lease_until = now() + timedelta(seconds=lease_seconds)
    image.not_before = None
    return Claim(image.id, image.root, image.path, image.sha256)


def record(session: Session, owner: str, outcomes: Sequence[Scored | Rejected], model_version_id: int) -> int:
    """Write the outcomes of a batch and return how many were still the owner's to write.

    An image whose lease was lost in the meantime is left to its new owner; a prediction that exists is kept.
    """
    held = {
        image.id: image
        for image in session.scalars(
            select(Image)
            .where(
                Image.id.in_([o.image_id for o in outcomes]), Image.owner == owner, Image.state == ImageState.SCORING
            )
            .order_by(Image.id)
            .with_for_update()
        )
    }
    ours = [outcome for outcome in outcomes if outcome.image_id in held]
    predictions = _predict_once(session, [o for o in ours if isinstance(o, Scored)], model_version_id)
    for outcome in ours:
        image = held[outcome.image_id]
        image.sha256 = outcome.sha256 or image.sha256
        if isinstance(outcome, Rejected):
            _reject(session, image, outcome.reason, outcome.detail)
        else:
            image.prediction_id = predictions[outcome.sha256]
            _finish(image, ImageState.SCORED)
    session.flush()
    study_results.update(session, list(held))
    return len(ours)


def _predict_once(session: Session, scored: Sequence[Scored], model_version_id: int) -> dict[str, int]:
    """Insert what is new and return image content -> prediction id; two workers with one content make one row."""
    # Sorted, so that two batches which share contents wait for each other instead of deadlocking.
    by_content = {outcome.sha256: outcome for outcome in sorted(scored, key=lambda o: o.sha256)}
    if not by_content:
        return {}
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert
    rows = []
    for outcome in by_content.values():
        label = max(outcome.probabilities, key=lambda finding: outcome.probabilities[finding])
        rows.append(
            {
                "image_sha256": outcome.sha256,
                "model_version_id": model_version_id,
                "label": label,
                "probability": outcome.probabilities[label],
            }
        )
    new = session.execute(
        insert(Prediction).on_conflict_do_nothing().returning(Prediction.id, Prediction.image_sha256), rows
    ).all()
    session.add_all(
        FindingProbability(prediction_id=prediction_id, finding=finding, probability=probability)
        for prediction_id, content in new
        for finding, probability in by_content[content].probabilities.items()
    )
    return {
        content: prediction_id
        for prediction_id, content in session.execute(
            select(Prediction.id, Prediction.image_sha256).where(
                Prediction.image_sha256.in_(by_content), Prediction.model_version_id == model_version_id
            )
        )
    }


def release(session: Session, owner: str, image_ids: Sequence[int]) -> None:
    """Give images back unharmed after trouble outside: the attempt is not charged, and they pause."""
    session.execute(
        update(Image)
        .where(Image.id.in_(image_ids), Image.owner == owner, Image.state == ImageState.SCORING)
        .values(
            state=ImageState.WAITING,
            owner=None,
            lease_until=None,
            attempts=Image.attempts - 1,
            not_before=now() + timedelta(seconds=PAUSE_SECONDS),
        )
    )


def expire(session: Session) -> int:
    """Put images back whose lease has ended, the attempt charged, and return how many."""
    ended = session.scalars(
        update(Image)
        .where(Image.state == ImageState.SCORING, Image.lease_until < now())
        .values(state=ImageState.WAITING, owner=None, lease_until=None)
        .returning(Image.id)
    )
    return len(ended.all())


def any_waiting(session: Session) -> bool:
    """Tell whether an image could be claimed now."""
    return session.scalar(select(Image.id).where(_claimable()).limit(1)) is not None


def _reject(session: Session, image: Image, reason: Reason, detail: str) -> None:
    session.add(Rejection(image_id=image.id, reason=reason, detail=detail))
    _finish(image, ImageState.REJECTED)


def _finish(image: Image, state: ImageState) -> None:
    image.state = state
    image.owner = None
    image.lease_until = None
    image.finished_at = now()
