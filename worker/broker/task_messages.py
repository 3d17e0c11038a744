"""Reads a message as it stands in Redis, and writes it anew with what Thoraq's tasks need and nothing else.

Celery and kombu read a message in their own loop, where an error ends the process. They are given only what is written
here: a task that this process has, a UUID, arguments of the right form, and no header by which a sender could change
how its message is run.
"""

import base64
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.broker import sender_keys
from worker.broker.bounded_replies import OversizeReply
from worker.broker.frames import JSON, MAX_BODY_BYTES, Frame, MalformedMessage, body_of, parts_of
from worker.broker.set_aside import Flaw, SetAside
from worker.celery_app import DRAW_FULL_PICTURE, RETRAIN, SCORE_REQUEST, SET_ASIDE
from worker.database import MAX_ROW_ID
from worker.inputs import bounded_json
from worker.inputs.bounded_json import OversizedJson, UnreadableJson

#: A message as it stands in Redis; base64 makes a body a third longer.
MAX_MESSAGE_BYTES = 32 * 2**20
#: An object with these two fields is one that kombu makes a date, a UUID, a decimal or bytes of.
TYPED_VALUE = {"__type__", "__value__"}
HIGHEST_PRIORITY = 9

RowId = Annotated[int, Field(ge=1, le=MAX_ROW_ID, strict=True)]


class _NoArguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _OfAPicture(_NoArguments):
    image_id: RowId


class _OfARun(_NoArguments):
    run_id: RowId


class _OfAMessage(_NoArguments):
    message: SetAside


#: The arguments of our own tasks; a task that is not listed takes none. Those of `cxr.score.v1` are the envelope.
_ARGUMENTS: dict[str, type[BaseModel]] = {
    DRAW_FULL_PICTURE: _OfAPicture,
    RETRAIN: _OfARun,
    SET_ASIDE: _OfAMessage,
}


@dataclass(frozen=True)
class TaskMessage:
    """A message that may be run."""

    task: str
    task_id: str
    arguments: dict[str, Any]
    priority: int = 0

    def write(self, queue: str) -> bytes:
        """Return the message as kombu reads it from `queue`, with a delivery tag of its own.

        The routing says that an unacknowledged message returns to the queue from which it came.
        """
        return _json(
            {
                "body": base64.b64encode(_json([[], self.arguments, {}])).decode(),
                "content-type": JSON,
                "content-encoding": "utf-8",
                "headers": {"lang": "py", "task": self.task, "id": self.task_id, "root_id": self.task_id},
                "properties": {
                    "body_encoding": "base64",
                    "correlation_id": self.task_id,
                    "delivery_tag": str(uuid.uuid4()),
                    "delivery_info": {"exchange": "", "routing_key": queue},
                    "priority": self.priority,
                },
            }
        )


def aside(message: SetAside) -> TaskMessage:
    """Return the message that makes an intake process store what was set aside."""
    return TaskMessage(SET_ASIDE, str(uuid.uuid4()), {"message": message.model_dump(mode="json")})


def read(data: bytes, tasks: Collection[str], now: datetime) -> TaskMessage:
    """Return the task in a message.

    Args:
        data: the message as it stands in Redis.
        tasks: the names of the tasks that this process has.
        now: a message that expired before this moment is not run.

    Raises:
        MalformedMessage: it cannot be run.
    """
    if isinstance(data, OversizeReply):
        raise MalformedMessage(Flaw.TOO_LARGE)
    try:
        return _read(data, tasks, now)
    except OversizedJson as error:
        raise MalformedMessage(Flaw.TOO_LARGE, sender_keys.find(data)) from error
    except UnreadableJson as error:
        raise MalformedMessage(Flaw.NOT_JSON, sender_keys.find(data)) from error
    except ValidationError as error:
        raise MalformedMessage(Flaw.NOT_A_TASK, sender_keys.find(data)) from error
    except MalformedMessage as error:
        raise MalformedMessage(error.flaw, sender_keys.find(data)) from error


def _read(data: bytes, tasks: Collection[str], now: datetime) -> TaskMessage:
    frame = Frame.model_validate(bounded_json.loads(data, max_bytes=MAX_MESSAGE_BYTES))
    body = bounded_json.loads(body_of(frame), max_bytes=MAX_BODY_BYTES)
    if _has_typed_value(body):
        raise MalformedMessage(Flaw.TYPED_VALUE)
    headers, arguments = parts_of(frame, body)
    if headers.task not in tasks:
        raise MalformedMessage(Flaw.UNKNOWN_TASK)
    if _has_expired(headers.expires, now):
        raise MalformedMessage(Flaw.EXPIRED)
    priority = frame.properties.priority or 0
    return TaskMessage(
        headers.task,
        _task_id(headers.id),
        _arguments_of(headers.task, *arguments),
        min(max(priority, 0), HIGHEST_PRIORITY),
    )


def _has_typed_value(value: object) -> bool:
    """Return whether kombu would make something else of an object than an object, or fail at it."""
    if isinstance(value, dict):
        return value.keys() == TYPED_VALUE or any(map(_has_typed_value, value.values()))
    return isinstance(value, list) and any(map(_has_typed_value, value))


def _arguments_of(task: str, positional: object, named: object) -> dict[str, Any]:
    """Return the named arguments of a task.

    Raises:
        MalformedMessage: it does not take them.
    """
    positional = [] if positional is None else positional
    named = {} if named is None else named
    if not isinstance(positional, list) or not isinstance(named, dict):
        raise MalformedMessage(Flaw.NOT_A_TASK)
    if task == SCORE_REQUEST:
        envelopes = [*positional, *([named["request"]] if "request" in named else [])]
        if len(envelopes) > 1:
            raise MalformedMessage(Flaw.WRONG_ARGUMENTS)
        return {"request": envelopes[0] if envelopes else None}
    try:
        checked = _ARGUMENTS.get(task, _NoArguments).model_validate(named)
    except ValidationError as error:
        raise MalformedMessage(Flaw.WRONG_ARGUMENTS) from error
    if positional:
        raise MalformedMessage(Flaw.WRONG_ARGUMENTS)
    return checked.model_dump(mode="json")


def _task_id(text: str) -> str:
    """Return a task's id if it is a UUID, otherwise a new one: ids stand in logs, and their owner column is short."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid4())


def _has_expired(expires: str | None, now: datetime) -> bool:
    """Return whether a message has expired; Celery would remember its id, and discard later messages with the same.

    Raises:
        MalformedMessage: `expires` is no moment of ISO 8601.
    """
    if not expires:
        return False
    try:
        moment = datetime.fromisoformat(expires)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC) <= now
    except (ValueError, OverflowError) as error:
        raise MalformedMessage(Flaw.NOT_A_TASK) from error


def _json(value: object) -> bytes:
    """Return JSON in UTF-8; half of a surrogate pair, which UTF-8 does not have, stays escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
