"""The inbound envelope `cxr.score.request`: what a sender may say, checked before anything is stored.

One envelope names one image, or a list of items. It carries pseudonymous identifiers, never a name or a birth date.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from worker.errors import RefusedSubmission
from worker.studies.records import Priority

SCHEMA = "cxr.score.request"
SCHEMA_MAJOR = "1"
#: Where the dashboard publishes the envelope's JSON Schema.
SCHEMA_PATH = "/schemas/score-request/1.json"
#: A night's worth of a large department; more belongs in several submissions.
MAX_ITEMS = 10_000

#: No control characters: a database, a log and a terminal would each read them differently.
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

Uid = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PRINTABLE)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=PRINTABLE)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=PRINTABLE)]
Reference = Annotated[str, StringConstraints(max_length=512, pattern=PRINTABLE)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ImageReference(BaseModel):
    """Where an image lies: a path below a root that the operator has named."""

    root: Short = "images"
    path: Path
    sha256: Sha256 | None = None


class Accession(BaseModel):
    """An accession number with its issuer; the number alone is not unique."""

    number: Short
    issuer: Short | None = None


class Item(BaseModel):
    """One image and the examination that it belongs to."""

    image: ImageReference
    study_instance_uid: Uid | None = None
    series_instance_uid: Uid | None = None
    sop_instance_uid: Uid | None = None
    accession: Accession | None = None
    #: The sender's pseudonym of the patient, for keeping a patient's films together.
    patient_key: Key | None = None
    #: The sender's own name for the film, given back with its result.
    reference: Reference | None = None


class Callback(BaseModel):
    """Whom to tell when every film has its outcome: an endpoint that the operator has configured, by its name."""

    endpoint: Short


def _with_a_zone(value: object) -> object:
    """Refuse what is not text: a bare number would be read as seconds by one and as milliseconds by another."""
    if value is not None and not isinstance(value, str):
        raise ValueError("a moment is text as in RFC 3339")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_with_a_zone)]


class Envelope(BaseModel):
    """The part of a request that all its items share."""

    model_config = ConfigDict(extra="allow")

    schema_name: Literal["cxr.score.request"] = Field(alias="schema")
    schema_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+$")]
    #: Who sends; with `request_id` the key under which a repeat is recognised.
    source: Short
    request_id: Key
    requested_at: Moment | None = None
    priority: Literal["urgent", "routine", "offpeak"] = "routine"
    callback: Callback | None = None
    items: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_ITEMS)] | None = None

    def rank(self) -> Priority:
        """Return the priority as the ledger orders it."""
        return Priority[self.priority.upper()]

    def raw_items(self) -> list[dict[str, Any]]:
        """Return the items as sent; an envelope without a list is its own single item."""
        return self.items if self.items is not None else [self.model_extra or {}]

    def unknown_fields(self) -> dict[str, Any]:
        """Return fields of later minor versions: they are kept, and change nothing."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in Item.model_fields}

    def digest(self) -> str:
        """Return the SHA-256 of what was asked; the moment of asking and the order of fields do not count."""
        asked = self.model_dump(mode="json", exclude={"requested_at"}, exclude_none=True)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def parse(message: object) -> Envelope:
    """Return the checked envelope of a message.

    Raises:
        RefusedSubmission: `unsupported_schema` for another major version, `invalid` for anything else.
    """
    version = message.get("schema_version") if isinstance(message, dict) else None
    if isinstance(version, str) and version.partition(".")[0] not in {SCHEMA_MAJOR, ""}:
        raise RefusedSubmission("unsupported_schema", f"this system reads {SCHEMA} {SCHEMA_MAJOR}.x")
    try:
        envelope = Envelope.model_validate(message)
        json.dumps(message, allow_nan=False, ensure_ascii=False).encode()
    except ValidationError as error:
        raise RefusedSubmission("invalid", explain(error)) from error
    except ValueError as error:  # NaN, or half of a surrogate pair: no database stores them.
        raise RefusedSubmission("invalid", "the message holds a value that JSON in UTF-8 cannot express") from error
    return envelope


def explain(error: ValidationError) -> str:
    """Return what is wrong and where, without the values, which may identify somebody."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'message'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)[:5]
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the envelope, made from the models that read it.

    It is stricter than the door in one thing: an item that cannot be read is refused alone, here it fails the whole.
    """
    head = Envelope.model_json_schema(by_alias=True)
    item = Item.model_json_schema(by_alias=True)
    definitions = {**head.pop("$defs"), **item.pop("$defs"), "Item": item}
    head["properties"]["schema_version"]["pattern"] = rf"^{SCHEMA_MAJOR}\.[0-9]+$"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_PATH,
        **head,
        "title": SCHEMA,
        "$defs": definitions,
        # With a list, what stands beside it is not read; without one, the envelope is its own single item.
        "if": {"properties": {"items": {"type": "array"}}, "required": ["items"]},
        "then": {"properties": {"items": {"items": {"$ref": "#/$defs/Item"}}}},
        "else": {"$ref": "#/$defs/Item"},
    }
