"""The published JSON Schemas, for everybody: what a sender may say is no secret."""

import json

from flask import Blueprint, Response

from dashboard.accounts.access import public
from worker.submissions import envelope

blueprint = Blueprint("schemas", __name__)


@blueprint.get(envelope.SCHEMA_PATH)
@public
def score_request() -> Response:
    """Return the schema of `cxr.score.request` 1.x."""
    return Response(json.dumps(envelope.json_schema(), indent=1) + "\n", content_type="application/schema+json")
