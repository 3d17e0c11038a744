"""The part of the HTTP door that answers questions: studies, models, and the document that describes the door."""

from collections.abc import Sequence

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from dashboard.accounts.access import SYSTEMS, public, requires, signed_in
from dashboard.accounts.accounts import Role
from dashboard.accounts.tokens import Scope
from dashboard.api import openapi
from dashboard.row_ids import row_id
from dashboard.studies import filters as selection
from dashboard.studies.exports import NOTICE, described
from dashboard.studies.filters import Filters, View
from dashboard.studies.rows import rows
from worker.database import reading
from worker.models import registry
from worker.models.records import ModelVersion
from worker.studies.records import Study, StudyState

blueprint = Blueprint("results", __name__, url_prefix="/api/v1")

MAX_LIMIT = 200


class StudyAnswer(BaseModel):
    """One study as a system reads it."""

    study: int
    accession_number: str | None
    study_instance_uid: str | None
    reference: str | None
    source: str
    priority: str
    received_at: str
    due_at: str
    read_at: str | None
    state: StudyState
    films: int
    rejection_reasons: str
    model_versions: str
    phantoms: bool
    top_finding: str | None
    probability: float | None
    probabilities: dict[str, float] | None


class StudyList(BaseModel):
    """A page of studies, newest first."""

    studies: list[StudyAnswer]
    #: Give it as `after` for the next page; null on the last one.
    following: str | None
    notice: str = NOTICE


class ModelAnswer(BaseModel):
    """One registered version."""

    version: str
    sha256: str
    network: str | None
    classes: list[str]
    trained_on: str | None
    limits: list[str]
    active: bool
    registered_at: str


class ModelList(BaseModel):
    """The registered versions, newest first."""

    models: list[ModelAnswer]
    notice: str = NOTICE


@blueprint.get("/studies")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS, audited="list studies")
@openapi.answers(StudyList, query=("state", "after", "limit"))
def studies() -> ResponseReturnValue:
    """Return studies, newest first; a system sees those that it sent itself."""
    state = request.args.get("state")
    filters = Filters(
        view=View.ALL,
        state=StudyState(state) if state in set(StudyState) else None,
        source=signed_in().name if signed_in().role == Role.UPSTREAM else None,
    )
    limit = max(1, min(row_id(request.args.get("limit")) or selection.PAGE_SIZE, MAX_LIMIT))
    with reading() as session:
        page = selection.page(session, filters, selection.cursor(request.args.get("after")), limit)
        return StudyList(studies=_answers(session, page.ids), following=page.following).model_dump(mode="json")


@blueprint.get("/studies/<int(max=2147483647):study_id>")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS, audited="view study")
@openapi.answers(StudyAnswer)
def study(study_id: int) -> ResponseReturnValue:
    """Return one study; of another sender's study a system is not even told that it is there."""
    with reading() as session:
        found = _answers(session, [study_id])
    if not found or (signed_in().role == Role.UPSTREAM and found[0].source != signed_in().name):
        abort(404)
    return found[0].model_dump(mode="json")


@blueprint.get("/models")
@requires(SYSTEMS, basic=True, scope=Scope.MODELS)
@openapi.answers(ModelList)
def models() -> ResponseReturnValue:
    """Return the registered model versions with their limits, and which is active."""
    query = select(ModelVersion).options(defer(ModelVersion.report)).order_by(ModelVersion.id.desc())
    with reading() as session:
        active_id = registry.active_id(session)
        found = [_model(model, active=model.id == active_id) for model in session.scalars(query)]
    return ModelList(models=found).model_dump(mode="json")


@blueprint.get("/openapi.json")
@public
@openapi.answers(None)
def document() -> ResponseReturnValue:
    """Return the OpenAPI document of this door, made from its endpoints."""
    return openapi.document()


def _answers(session: Session, ids: Sequence[int]) -> list[StudyAnswer]:
    columns = select(Study.id, Study.accession_number, Study.study_instance_uid).where(Study.id.in_(ids))
    named = {study_id: (number, uid) for study_id, number, uid in session.execute(columns)}
    return [StudyAnswer.model_validate(described(row, *named[row.study_id])) for row in rows(session, ids)]


def _model(model: ModelVersion, *, active: bool) -> ModelAnswer:
    card = model.card
    return ModelAnswer(
        version=model.version,
        sha256=model.sha256,
        network=card.get("network"),
        classes=list(card.get("classes", ())),
        trained_on=card.get("trained_on"),
        limits=list(card.get("limits", ())),
        active=active,
        registered_at=model.registered_at.isoformat(),
    )
