"""The OpenAPI document of the API, generated from its endpoints: addresses, scopes, bodies and answers."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from flask import current_app
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from werkzeug.routing import Rule

from dashboard.accounts import access
from worker import NOTICE
from worker.database import MAX_ROW_ID
from worker.submissions import envelope
from worker.submissions.intake import Acceptance

PREFIX = "/api/v1/"
_ATTRIBUTE = "thoraq_openapi"
_REFERENCE = "#/components/schemas/{model}"
View = TypeVar("View", bound=Callable[..., object])

#: Problem details (RFC 9457), as `dashboard.errors` writes them.
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {name: {"type": "string"} for name in ("type", "title", "detail", "code")}
    | {"status": {"type": "integer"}},
}
REFUSALS = {
    "400": "the request is malformed",
    "401": "credentials are missing or wrong",
    "403": "this account or token may not do this",
    "404": "not found",
    "429": "too many failed log-ins",
    "503": "the database does not answer, or the disk cannot be written",
}
SUBMIT_REFUSALS = {
    "409": "this request id was used before with other content",
    "413": "the request is too large",
    "415": "the body is neither JSON nor a form",
    "507": "the disk is full",
    "422": "the envelope has another major version, or its callback is unknown",
}


def answers(model: type[BaseModel] | None, *, query: Sequence[str] = ()) -> Callable[[View], View]:
    """Declare the model of an endpoint's answer (None: any object), and its optional query parameters."""

    def declare(view: View) -> View:
        vars(view)[_ATTRIBUTE] = (model, tuple(query))
        return view

    return declare


def document() -> dict[str, object]:
    """Return the OpenAPI document of the running application."""
    rules = [rule for rule in current_app.url_map.iter_rules() if rule.rule.startswith(PREFIX)]
    used: list[type[BaseModel]] = [model for rule in rules if (model := _declared(rule)[0])]
    used.append(Acceptance)
    shown: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in dict.fromkeys(used)]
    _, schemas = models_json_schema(shown, ref_template=_REFERENCE)
    paths: dict[str, dict[str, object]] = {}
    for rule in sorted(rules, key=lambda rule: rule.rule):
        address = re.sub(r"<(?:[^<>:]*(?:\([^)]*\))?:)?(\w+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(address, {})[method.lower()] = _operation(rule)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Thoraq",
            "version": current_app.jinja_env.globals["thoraq_version"],
            "description": f"Submit chest radiographs and read their results. {NOTICE}",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _declared(rule: Rule) -> tuple[type[BaseModel] | None, tuple[str, ...]]:
    declared: tuple[type[BaseModel] | None, tuple[str, ...]] = getattr(
        current_app.view_functions[rule.endpoint], _ATTRIBUTE, (None, ())
    )
    return declared


def _operation(rule: Rule) -> dict[str, object]:
    view, declared = current_app.view_functions[rule.endpoint], access.declared(current_app, rule.endpoint)
    model, query = _declared(rule)
    submits = rule.endpoint == "submissions.submit"
    operation: dict[str, object] = {
        "operationId": rule.endpoint,
        "summary": (view.__doc__ or "").strip().splitlines()[0],
        "parameters": [_parameter(rule, name) for name in sorted(rule.arguments)]
        + [{"name": name, "in": "query", "schema": {"type": "string"}} for name in query],
        "responses": {"202" if submits else "200": _answer(Acceptance if submits else model)}
        | {status: _problem(text) for status, text in (REFUSALS | (SUBMIT_REFUSALS if submits else {})).items()},
    }
    if submits:
        operation["requestBody"] = {"required": True, "content": _bodies()}
    if declared and declared.roles is not None:
        operation["security"] = [{"token": []}, {"password": []}]
        operation["description"] = f"A token needs the scope {declared.scope}."
    return operation


def _parameter(rule: Rule, name: str) -> dict[str, object]:
    number = f":{name}>" in rule.rule
    schema = {"type": "integer", "minimum": 0, "maximum": MAX_ROW_ID} if number else {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _answer(model: type[BaseModel] | None) -> dict[str, object]:
    schema = {"$ref": _REFERENCE.format(model=model.__name__)} if model else {"type": "object"}
    return {"description": "success", "content": {"application/json": {"schema": schema}}}


def _problem(text: str) -> dict[str, object]:
    reference = {"$ref": _REFERENCE.format(model="Problem")}
    return {"description": text, "content": {"application/problem+json": {"schema": reference}}}


def _bodies() -> dict[str, object]:
    films = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "required": ["films"],
        "properties": {"films": films, "priority": {"enum": ["urgent", "routine", "offpeak"]}},
    }
    return {"application/json": {"schema": envelope.json_schema()}, "multipart/form-data": {"schema": form}}
