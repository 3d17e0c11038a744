"""The API for reading: studies, model versions and the OpenAPI document."""

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
from dashboard.row_ids import parse_row_id
from dashboard.studies.exports import StudyAnswer, study_record
from dashboard.studies.filters import PAGE_SIZE, Filters, View, parse_cursor, select_page
from dashboard.studies.rows import rows
from worker import NOTICE
from worker.database import reading
from worker.models import registry
from worker.models.records import ModelVersion
from worker.studies.records import Study, StudyState

blueprint = Blueprint("results", __name__, url_prefix="/api/v1")

MAX_LIMIT = 200


class StudyList(BaseModel):
    """A page of studies, newest first."""

    studies: list[StudyAnswer]
    #: The value of `after` for the next page; null on the last page.
    following: str | None
    notice: str = NOTICE


class ModelAnswer(BaseModel):
    """One registered model version."""

    version: str
    sha256: str
    network: str | None
    classes: list[str]
    trained_on: str | None
    limits: list[str]
    active: bool
    registered_at: str


class ModelList(BaseModel):
    """The registered model versions, newest first."""

    models: list[ModelAnswer]
    notice: str = NOTICE


@blueprint.get("/studies")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS, audited="list studies")
@openapi.answers(StudyList, query=("state", "after", "limit"))
def studies() -> ResponseReturnValue:
    """Return studies, newest first; an upstream system sees only the studies that it sent."""
    state = request.args.get("state")
    filters = Filters(
        view=View.ALL,
        state=StudyState(state) if state in set(StudyState) else None,
        source=signed_in().name if signed_in().role == Role.UPSTREAM else None,
    )
    limit = max(1, min(parse_row_id(request.args.get("limit")) or PAGE_SIZE, MAX_LIMIT))
    with reading() as session:
        page = select_page(session, filters, parse_cursor(request.args.get("after")), limit)
        return StudyList(studies=_answers(session, page.ids), following=page.following).model_dump(mode="json")


@blueprint.get("/studies/<row_id:study_id>")
@requires(SYSTEMS, basic=True, scope=Scope.RESULTS, audited="view study")
@openapi.answers(StudyAnswer)
def study(study_id: int) -> ResponseReturnValue:
    """Return one study; an upstream system gets 404 for a study that another system sent."""
    with reading() as session:
        answers = _answers(session, [study_id])
    if not answers or (signed_in().role == Role.UPSTREAM and answers[0].source != signed_in().name):
        abort(404)
    return answers[0].model_dump(mode="json")


@blueprint.get("/models")
@requires(SYSTEMS, basic=True, scope=Scope.MODELS)
@openapi.answers(ModelList)
def models() -> ResponseReturnValue:
    """Return the registered model versions with their limits, and which is active."""
    query = select(ModelVersion).options(defer(ModelVersion.report)).order_by(ModelVersion.id.desc())
    with reading() as session:
        active_id = registry.active_id(session)
        answers = [_model(model, active=model.id == active_id) for model in session.scalars(query)]
    return ModelList(models=answers).model_dump(mode="json")


@blueprint.get("/openapi.json")
@public
@openapi.answers(None)
def document() -> ResponseReturnValue:
    """Return the OpenAPI document of this API, generated from its endpoints."""
    return openapi.document()


def _answers(session: Session, ids: Sequence[int]) -> list[StudyAnswer]:
    columns = select(Study.id, Study.accession_number, Study.study_instance_uid).where(Study.id.in_(ids))
    identifiers = {study_id: (number, uid) for study_id, number, uid in session.execute(columns)}
    return [study_record(row, *identifiers[row.study_id]) for row in rows(session, ids)]


def _model(model: ModelVersion, *, active: bool) -> ModelAnswer:
    card = model.card
    return ModelAnswer(
        version=model.version,
        sha256=model.sha256,
        network=card.network,
        classes=list(card.classes),
        trained_on=card.trained_on,
        limits=list(card.limits),
        active=active,
        registered_at=model.registered_at.isoformat(),
    )
