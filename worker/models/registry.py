"""The registered model versions, and which of them is active."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import JSON, select, type_coerce
from sqlalchemy.orm import Session

from worker.errors import ModelUnavailable, UnreadableDocument
from worker.models.directory import publish, read_report, verified
from worker.models.documents.report import OperatingPoint
from worker.models.records import Activation, ModelVersion

OPERATING_POINTS = TypeAdapter(tuple[OperatingPoint, ...])


def register(session: Session, directory: Path) -> ModelVersion:
    """Return the row of a published directory, adding it if it is new; activates nothing.

    Raises:
        ModelUnavailable: a file is missing or damaged, or differs from the one that is registered under that version.
    """
    _, card = verified(directory)
    row = find(session, card.version)
    if row is not None:
        verified(directory, row.card)
    else:
        row = ModelVersion(
            version=card.version,
            sha256=card.sha256,
            card=card,
            report=read_report(directory),
        )
        session.add(row)
        session.flush()
    return row


def find(session: Session, version: str) -> ModelVersion | None:
    """Return the row of a version; None if it is not registered."""
    return session.scalar(select(ModelVersion).where(ModelVersion.version == version))


def operating_points(session: Session, version_id: int | None) -> tuple[OperatingPoint, ...]:
    """Return a version's operating points; the rest of its long report is not read.

    Raises:
        UnreadableDocument: the report has something else under that key.
    """
    column = type_coerce(ModelVersion.report, JSON)["operating_points"]
    stored = session.scalar(select(column).where(ModelVersion.id == version_id))
    try:
        return OPERATING_POINTS.validate_python(stored or ())
    except ValidationError as error:
        raise UnreadableDocument(f"the report of model version {version_id} has unreadable operating points") from error


def active(session: Session) -> ModelVersion | None:
    """Return the active version; None if no version was ever activated."""
    activation = current_activation(session)
    return activation.model_version if activation else None


def active_id(session: Session) -> int | None:
    """Return the id of the active version, without reading its card and report; workers ask before every batch."""
    return session.scalar(select(Activation.model_version_id).order_by(Activation.id.desc()).limit(1))


def current_activation(session: Session) -> Activation | None:
    """Return the newest activation."""
    return session.scalar(select(Activation).order_by(Activation.id.desc()).limit(1))


def activate(
    session: Session, version: str, by: str, *, forced: bool = False, verdict_id: int | None = None
) -> ModelVersion:
    """Make a registered version the active one without asking the gate; `worker.models.promotion` asks it.

    Args:
        session: of the transaction.
        version: its name.
        by: who activates it.
        forced: whether it is activated against the gate, which is recorded.
        verdict_id: the gate's verdict, where there is one.

    Raises:
        ModelUnavailable: no such version is registered.
    """
    row = find(session, version)
    if row is None:
        message = f"no model version {version} is registered"
        raise ModelUnavailable(message)
    before = current_activation(session)
    if before is None or before.model_version_id != row.id:
        session.add(
            Activation(
                model_version_id=row.id,
                returns_to_id=before.id if before else None,
                activated_by=by,
                forced=forced,
                verdict_id=verdict_id,
            )
        )
        session.flush()
    return row


def import_model(session: Session, directory: Path, models_dir: Path) -> ModelVersion:
    """Publish and register a model directory; activate it if no version is active."""
    row = register(session, publish(directory, models_dir))
    if active(session) is None:
        activate(session, row.version, by="import")
    return row
