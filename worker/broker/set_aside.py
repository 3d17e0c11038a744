"""What is known of a message that was set aside, as it travels to the intake process, which stores it."""

import base64
import hashlib
import uuid
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from worker.broker.bounded_replies import HEAD_BYTES, OversizeReply
from worker.broker.sender_keys import NO_KEY, Key
from worker.celery_app import DEFAULT_QUEUE, INTAKE_QUEUE, PICTURE_QUEUE, SCORE_QUEUE, TRAIN_QUEUE
from worker.inputs.printable import printable

#: The queues that our processes consume.
QUEUES = frozenset({INTAKE_QUEUE, DEFAULT_QUEUE, SCORE_QUEUE, PICTURE_QUEUE, TRAIN_QUEUE})

Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Part = Annotated[str, StringConstraints(max_length=128)]


class Place(StrEnum):
    """Where a message stood, beside the queues."""

    UNACKED = "unacked"  #: Among the messages that were taken and not acknowledged.
    KEY = "key"  #: A key of Redis that kombu uses, with a value of another type.
    INTAKE = "intake process"  #: Read by the intake process, which then failed.


def _known_place(value: str) -> str:
    if value not in QUEUES | set(Place):
        raise ValueError("neither a queue nor a place")
    return value


class Flaw(StrEnum):
    """Why a message was set aside. The values are stable: they are stored, shown and exported as metrics."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    TYPED_VALUE = "typed_value"
    NOT_A_TASK = "not_a_task_message"
    UNREADABLE_BODY = "unreadable_body"
    UNKNOWN_TASK = "unknown_task"
    WRONG_ARGUMENTS = "wrong_arguments"
    EXPIRED = "expired"
    WRONG_TYPE = "wrong_type"
    FAULT = "fault"


#: A sentence for the sender and the operator; none quotes the message.
DETAILS = {
    Flaw.TOO_LARGE: "the message has more bytes, values or levels than are read",
    Flaw.NOT_JSON: "the message, or its body, is not JSON in UTF-8",
    Flaw.TYPED_VALUE: "the message has a value that only Python's Celery can read, such as a date; send text",
    Flaw.NOT_A_TASK: "the message is not a task of Celery, or a header or property has a wrong type",
    Flaw.UNREADABLE_BODY: "the body is not application/json in the encoding that the message names",
    Flaw.UNKNOWN_TASK: "there is no such task here",
    Flaw.WRONG_ARGUMENTS: "the task does not take these arguments",
    Flaw.EXPIRED: "the message was read after the moment that it names in `expires`",
    Flaw.WRONG_TYPE: "a key of the broker had a value of another type",
    Flaw.FAULT: "a fault of this program; the message is kept",
}


class SetAside(BaseModel):
    """One message that was set aside: where it stood, why, its hash, its first bytes, and its sender's key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Names this record, so that storing it twice does no harm.
    record_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    #: A queue or a `Place`.
    place: Annotated[str, AfterValidator(_known_place)]
    flaw: Flaw
    sha256: Hex64
    size: Annotated[int, Field(ge=0, lt=2**31)]
    #: The first bytes of the message, at most `HEAD_BYTES`, in base64.
    head: Annotated[str, StringConstraints(max_length=HEAD_BYTES * 4 // 3 + 4, pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
    source: Part | None = None
    request_id: Part | None = None

    @classmethod
    def of(cls, data: bytes, place: str, flaw: Flaw, key: Key = NO_KEY) -> Self:
        """Describe a message by its bytes, where it stood, why it is set aside, and (source, request id)."""
        if isinstance(data, OversizeReply):
            size, sha256 = data.size, data.sha256
        else:
            size, sha256 = len(data), hashlib.sha256(data).hexdigest()
        return cls(
            record_id=uuid.uuid4().hex,
            place=place,
            flaw=flaw,
            sha256=sha256,
            size=size,
            head=base64.b64encode(data[:HEAD_BYTES]).decode(),
            source=_part(key[0]),
            request_id=_part(key[1]),
        )

    def head_bytes(self) -> bytes:
        """Return the first bytes of the message."""
        return base64.b64decode(self.head)


def _part(value: str | None) -> str | None:
    """Return a part of a key as every database and terminal can hold it."""
    return value if value is None else printable(value)[:128]
