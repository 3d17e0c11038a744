"""The envelope `cxr.score.request` of a submission, checked before anything is stored.

An envelope has one image, or a list of items. Its identifiers are pseudonyms, never a name or a birth date.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from worker.errors import RefusedSubmission
from worker.inputs import printable
from worker.inputs.bounded_json import MAX_DEPTH
from worker.studies.records import Priority

SCHEMA = "cxr.score.request"
SCHEMA_MAJOR = "1"
#: Where the dashboard publishes the envelope's JSON Schema.
SCHEMA_PATH = "/schemas/score-request/1.json"
#: One night of a large department; a sender splits a larger set into several submissions.
MAX_ITEMS = 10_000

Uid = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=printable.PATTERN)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=printable.PATTERN)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=printable.PATTERN)]
Reference = Annotated[str, StringConstraints(max_length=512, pattern=printable.PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ImageReference(BaseModel):
    """The location of an image: a path below one of the roots in `THORAQ_IMAGE_ROOTS`."""

    root: Short = "images"
    path: Path
    sha256: Sha256 | None = None


class Accession(BaseModel):
    """An accession number and its issuer; the number alone is not unique."""

    number: Short
    issuer: Short | None = None


class Item(BaseModel):
    """One image and the identifiers of its study."""

    image: ImageReference
    study_instance_uid: Uid | None = None
    series_instance_uid: Uid | None = None
    sop_instance_uid: Uid | None = None
    accession: Accession | None = None
    #: The sender's pseudonym of the patient; films with the same key belong to the same patient.
    patient_key: Key | None = None
    #: The sender's own name for the film, returned with its result.
    reference: Reference | None = None


class Callback(BaseModel):
    """The endpoint to notify when every film has its outcome, by its name in `THORAQ_CALLBACKS`."""

    endpoint: Short


def _only_text(value: object) -> object:
    """Refuse a number: one sender means seconds by it and another milliseconds."""
    if value is not None and not isinstance(value, str):
        raise ValueError("a time is text as in RFC 3339")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_only_text)]


class Envelope(BaseModel):
    """A request: the fields that all its items share, and the items."""

    model_config = ConfigDict(extra="allow")

    schema_name: Literal["cxr.score.request"] = Field(alias="schema")
    schema_version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+$")]
    #: The sender. With `request_id` it is the key by which a repeated request is recognised.
    source: Short
    request_id: Key
    requested_at: Moment | None = None
    priority: Literal["urgent", "routine", "offpeak"] = "routine"
    callback: Callback | None = None
    items: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_ITEMS)] | None = None

    def rank(self) -> Priority:
        """Return the priority as the ledger stores it."""
        return Priority[self.priority.upper()]

    def raw_items(self) -> list[dict[str, Any]]:
        """Return the items as they were sent; an envelope without a list is itself the only item."""
        return self.items if self.items is not None else [self.model_extra or {}]

    def unknown_fields(self) -> dict[str, Any]:
        """Return the fields that this version does not know; they are stored and have no effect."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in Item.model_fields}

    def digest(self) -> str:
        """Return the SHA-256 of the content, which excludes `requested_at` and the order of fields."""
        content = self.model_dump(mode="json", exclude={"requested_at"}, exclude_none=True)
        digest = hashlib.sha256()
        for piece in _json_pieces(content):
            digest.update(piece.encode())
        return digest.hexdigest()


def _json_pieces(content: dict[str, Any]) -> Iterator[str]:
    """Yield `json.dumps(content, sort_keys=True)` in pieces, since the text of 10,000 items is long."""
    yield "{"
    for index, (name, value) in enumerate(sorted(content.items())):
        yield f"{', ' if index else ''}{json.dumps(name)}: "
        if isinstance(value, list):
            yield "["
            for place, part in enumerate(value):
                yield f"{', ' if place else ''}{json.dumps(part, sort_keys=True)}"
            yield "]"
        else:
            yield json.dumps(value, sort_keys=True)
    yield "}"


def _parts(message: object) -> Iterator[object]:
    """Yield the values of a message, and each item of a list by itself."""
    for name, value in message.items() if isinstance(message, dict) else [("", message)]:
        yield name
        yield from value if isinstance(value, list) else [value]


def parse(message: object) -> Envelope:
    """Return the envelope of a message after checking it.

    Raises:
        RefusedSubmission: `unsupported_schema` for another major version, `invalid` for anything else.
    """
    if _is_too_deep(message):
        raise RefusedSubmission("invalid", f"the message nests deeper than {MAX_DEPTH} levels")
    version = message.get("schema_version") if isinstance(message, dict) else None
    if isinstance(version, str) and version.partition(".")[0] not in {SCHEMA_MAJOR, ""}:
        raise RefusedSubmission("unsupported_schema", f"this system reads {SCHEMA} {SCHEMA_MAJOR}.x")
    try:
        envelope = Envelope.model_validate(message)
        for part in _parts(message):
            json.dumps(part, allow_nan=False, ensure_ascii=False).encode()
    except ValidationError as error:
        raise RefusedSubmission("invalid", explain(error)) from error
    except ValueError as error:  # NaN, or half of a surrogate pair, which no database can store.
        raise RefusedSubmission("invalid", "the message holds a value that JSON in UTF-8 cannot express") from error
    return envelope


def _is_too_deep(message: object) -> bool:
    """Return whether arrays and objects nest deeper than is read; does not call itself, however deep they are."""
    level = [message]
    for _ in range(MAX_DEPTH + 1):
        containers = [part for part in level if isinstance(part, dict | list)]
        level = [child for part in containers for child in (part.values() if isinstance(part, dict) else part)]
        if not containers:
            return False
    return True


def explain(error: ValidationError) -> str:
    """Return the first errors with their places, without the values, which may identify a person."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'message'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)[:5]
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the envelope, generated from the models that read it.

    It is stricter than intake in one way: intake refuses an invalid item alone, the schema fails the whole envelope.
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
        # If there is a list, item fields beside it are ignored; if there is none, the envelope is the only item.
        "if": {"properties": {"items": {"type": "array"}}, "required": ["items"]},
        "then": {"properties": {"items": {"items": {"$ref": "#/$defs/Item"}}}},
        "else": {"$ref": "#/$defs/Item"},
    }
