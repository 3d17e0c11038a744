"""The form of a message in Redis: what Celery and kombu would read of it, with the types that they presume."""

import base64
import zlib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from worker.broker.sender_keys import NO_KEY, Key
from worker.broker.set_aside import Flaw

#: A body once it is decoded: 10,000 items of 1,600 bytes each.
MAX_BODY_BYTES = 16 * 2**20
JSON = "application/json"
#: As Celery's setting `task_compression` writes gzip and zlib.
ZLIB = "application/x-gzip"


class MalformedMessage(Exception):
    """A message is no task that this process can run."""

    def __init__(self, flaw: Flaw, key: Key = NO_KEY) -> None:
        """Store the flaw, and the sender's key as far as it is known."""
        super().__init__(flaw)
        self.flaw, self.key = flaw, key


class Headers(BaseModel):
    """What Celery would read beside the body. A value of a wrong type is refused; only three values have an effect."""

    model_config = ConfigDict(strict=True)

    task: str
    id: str
    expires: str | None = None

    lang: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    shadow: str | None = None
    eta: str | None = None
    retries: int | None = None
    timelimit: Annotated[list[float | None], Field(min_length=2, max_length=2)] | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None


class _Properties(BaseModel):
    """What kombu would read of a message's properties."""

    model_config = ConfigDict(strict=True)

    body_encoding: str | None = None
    priority: int | None = None
    delivery_tag: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    delivery_info: dict[str, Any] | None = None


class Frame(BaseModel):
    """The object that stands in Redis."""

    model_config = ConfigDict(strict=True)

    body: str
    properties: _Properties
    headers: dict[str, Any] | None = None
    content_type: str | None = Field(default=None, alias="content-type")
    content_encoding: str | None = Field(default=None, alias="content-encoding")


def body_of(frame: Frame) -> bytes:
    """Return the decoded body.

    Raises:
        MalformedMessage: it has another content type, an unknown encoding or compression, or is too large.
    """
    encoding = (frame.properties.body_encoding or "utf-8").lower()
    if frame.content_type != JSON or encoding not in {"base64", "utf-8"}:
        raise MalformedMessage(Flaw.UNREADABLE_BODY)
    try:
        # Some clients break the lines of base64.
        body = (
            base64.b64decode("".join(frame.body.split()), validate=True)
            if encoding == "base64"
            else frame.body.encode()
        )
        compression = (frame.headers or {}).get("compression")
        if compression == ZLIB:
            body = zlib.decompressobj().decompress(body, MAX_BODY_BYTES + 1)
        elif compression is not None:
            raise MalformedMessage(Flaw.UNREADABLE_BODY)
    except (ValueError, zlib.error) as error:
        raise MalformedMessage(Flaw.UNREADABLE_BODY) from error
    return body


def parts_of(frame: Frame, body: object) -> tuple[Headers, tuple[object, object]]:
    """Return the headers and (positional, named) arguments, of the second protocol of Celery or of the first.

    Raises:
        MalformedMessage: the body has the form of neither.
        ValidationError: a header is missing or has a wrong type.
    """
    headers = frame.headers or {}
    if isinstance(body, dict):  # The first protocol, which has everything in the body.
        return Headers.model_validate({**body, **headers}), (body.get("args"), body.get("kwargs"))
    match body:
        case [positional, named, dict() | None]:
            return Headers.model_validate(headers), (positional, named)
    raise MalformedMessage(Flaw.NOT_A_TASK)
