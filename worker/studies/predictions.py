"""What a model version says of an image content, kept once however often it is said."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.studies.records import Prediction


def keep(session: Session, said: Mapping[str, Mapping[str, float]], model_version_id: int) -> dict[str, int]:
    """Insert what is new and return image content -> prediction id; two workers with one content make one row.

    Args:
        session: in the transaction that records the outcomes.
        said: SHA-256 of a content -> finding -> probability in [0, 1].
        model_version_id: by which version.
    """
    if not said:
        return {}
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert
    # Sorted, so that two batches which share contents wait for each other instead of deadlocking.
    rows = [_row(content, said[content], model_version_id) for content in sorted(said)]
    # Row by row: one statement with a thousand parameters costs more to put together than it saves.
    session.connection().execute(insert(Prediction).on_conflict_do_nothing(), rows)
    kept = select(Prediction.image_sha256, Prediction.id).where(
        Prediction.image_sha256.in_(said), Prediction.model_version_id == model_version_id
    )
    return dict(session.execute(kept).all())


def last_of(session: Session, content: str | None) -> int | None:
    """Return the id of the newest prediction of an image content, whichever version made it."""
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
