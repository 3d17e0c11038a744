"""Predictions: one row for each image content and model version, however often that content is scored."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.studies.records import Prediction


def save(session: Session, probabilities: Mapping[str, Mapping[str, float]], model_version_id: int) -> dict[str, int]:
    """Insert the predictions that are new and return the prediction's id for each image content.

    Two workers that score the same content at once write one row.

    Args:
        session: in the transaction that records the outcomes.
        probabilities: SHA-256 of an image content -> finding -> probability in [0, 1].
        model_version_id: the version that predicted them.
    """
    if not probabilities:
        return {}
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert
    # Sorted, so that two batches which share contents wait for each other instead of deadlocking.
    rows = [_row(content, probabilities[content], model_version_id) for content in sorted(probabilities)]
    # Row by row: one statement with a thousand parameters costs more to put together than it saves.
    session.connection().execute(insert(Prediction).on_conflict_do_nothing(), rows)
    ids = select(Prediction.image_sha256, Prediction.id).where(
        Prediction.image_sha256.in_(probabilities), Prediction.model_version_id == model_version_id
    )
    return dict(session.execute(ids).all())


def newest_id(session: Session, content: str | None) -> int | None:
    """Return the id of the newest prediction of an image content, by any model version; None if there is none."""
    return session.scalar(
        select(Prediction.id).where(Prediction.image_sha256 == content).order_by(Prediction.id.desc()).limit(1)
    )


def _row(content: str, probabilities: Mapping[str, float], model_version_id: int) -> dict[str, object]:
    label = max(probabilities, key=lambda finding: probabilities[finding])
    return {
        "image_sha256": content,
        "model_version_id": model_version_id,
        "label": label,
        "probability": probabilities[label],
        "probabilities": dict(probabilities),
    }
