"""The JSON Schemas of messages; public."""

import json

from flask import Blueprint, Response

from dashboard.accounts.access import public
from worker.submissions import envelope

blueprint = Blueprint("schemas", __name__)


@blueprint.get(envelope.SCHEMA_PATH)
@public
def score_request() -> Response:
    """Return the JSON Schema of `cxr.score.request` 1.x."""
    return Response(json.dumps(envelope.json_schema(), indent=1) + "\n", content_type="application/schema+json")
