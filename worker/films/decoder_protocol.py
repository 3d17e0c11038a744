"""The messages between a decoder process and the pool that started it: their kinds, their form, their version.

A message is one line of JSON, the head, and bytes after it. The decoder sends `ready` once. The pool sends `prepare`
with some films, and the decoder sends one outcome for each film, in the order of the request. An outcome says which
film it is of, counted since the decoder started: a decoder out of step would give one film the findings of another.

A decoder reads hostile files, so the pool checks everything that a decoder sends before it uses it, and unpickles
nothing. In the other direction the pickled part of `prepare` is safe: the decoder has no parent but the pool.
"""

import json
import math
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NoReturn

import numpy as np

from worker.errors import Reason
from worker.films.preparation import Crashed, FilmOutcome, Place, Postponed, Preparation, Prepared, RejectedFilm
from worker.films.summary import FilmSummary

#: Increase it with every change of a kind or a field. Both sides check it in every message.
VERSION = 2
#: Longest head of a message, in bytes.
MAX_HEAD_BYTES = 64 * 2**10
MAX_DETAIL_CHARACTERS = 500
#: The database stores a film's height and width in 32-bit columns.
MAX_INTEGER = 2**31 - 1
MAX_GREY = 255
#: A decoder is given up long before a film takes a day.
MAX_SECONDS = 86_400


class Kind(StrEnum):
    """What a message is. The values go over the pipe: they stay when a class is renamed."""

    READY = "ready"  #: Decoder to pool: it has imported all that it needs.
    PREPARE = "prepare"  #: Pool to decoder: films to prepare.
    PREPARED = "prepared"  #: Decoder to pool, with grey values after the head.
    REJECTED = "rejected"
    POSTPONED = "postponed"
    CRASHED = "crashed"


class ProtocolError(Exception):
    """A message has an unknown kind, another version, or another form than the protocol allows."""


@dataclass(frozen=True)
class Request:
    """Films that a decoder is to prepare."""

    places: Sequence[Place]
    #: None if it is the same as in the request before.
    preparation: Preparation | None
    #: Whether to store previews, too.
    preview: bool


def encode_ready(preprocessing: str) -> bytes:
    """Return a decoder's first message; `preprocessing` is `worker.decoding.PREPROCESSING`."""
    return _message(Kind.READY, {"preprocessing": preprocessing})


def decode_ready(message: bytes) -> str:
    """Return the preprocessing that a decoder announces.

    Raises:
        ProtocolError: it is no such message, or has another version.
    """
    head, rest = _head(message, {Kind.READY: {"preprocessing"}})
    if rest:
        raise ProtocolError("there are bytes after the head")
    return _text(head, "preprocessing")


def encode_request(request: Request) -> bytes:
    """Return a request as bytes."""
    return _message(
        Kind.PREPARE, {"preview": request.preview}, pickle.dumps((tuple(request.places), request.preparation))
    )


def decode_request(message: bytes) -> Request:
    """Return a request of the process that started this one.

    Raises:
        ProtocolError: it is no such message, or has another version.
    """
    head, pickled = _head(message, {Kind.PREPARE: {"preview"}})
    places, preparation = pickle.loads(pickled)  # noqa: S301 - only the process that started this one can send it
    return Request(places, preparation, preview=bool(head["preview"]))


def encode_outcome(outcome: FilmOutcome, film: int, seconds: float) -> bytes:
    """Return what became of the decoder's film of this number, and how many seconds that took, as bytes."""
    head: dict[str, Any] = {"film": film, "seconds": seconds}
    match outcome:
        case Prepared():
            head |= {"sha256": outcome.sha256, "summary": asdict(outcome.summary)}
            return _message(Kind.PREPARED, head, outcome.film.tobytes())
        case RejectedFilm():
            head |= {"sha256": outcome.sha256, "reason": outcome.reason.value, "detail": _printable(outcome.detail)}
            return _message(Kind.REJECTED, head)
        case Postponed():
            return _message(Kind.POSTPONED, head | {"detail": _printable(outcome.detail)})
        case Crashed():
            return _message(Kind.CRASHED, head | {"detail": _printable(outcome.detail), "is_fault": outcome.is_fault})


OUTCOME_FIELDS: Mapping[Kind, set[str]] = {
    Kind.PREPARED: {"film", "sha256", "summary", "seconds"},
    Kind.REJECTED: {"film", "sha256", "reason", "detail", "seconds"},
    Kind.POSTPONED: {"film", "detail", "seconds"},
    Kind.CRASHED: {"film", "detail", "is_fault", "seconds"},
}


def max_outcome_bytes(input_size: tuple[int, int]) -> int:
    """Return how long an outcome may be for films of this (height, width)."""
    return MAX_HEAD_BYTES + 1 + math.prod(input_size)


def decode_outcome(message: bytes, film: int, input_size: tuple[int, int]) -> tuple[FilmOutcome, float]:
    """Return what became of one film, and how many seconds that took; every field is checked.

    Args:
        message: as the decoder sent it.
        film: number of the film whose turn it is, counted since the decoder started.
        input_size: (height, width) that the film was asked for.

    Raises:
        ProtocolError: it is no such message, has another version, or is of another film.
    """
    head, grey = _head(message, OUTCOME_FIELDS)
    if type(head["film"]) is not int or head["film"] != film:
        raise ProtocolError(f"an outcome of film {_quoted(head['film'])}; it is the turn of {film}")
    seconds = _number(head, "seconds", MAX_SECONDS)
    if head["kind"] == Kind.PREPARED:
        if len(grey) != math.prod(input_size):
            raise ProtocolError(f"{len(grey)} grey values instead of {math.prod(input_size)}")
        greys = np.frombuffer(grey, np.uint8).reshape(input_size)
        return Prepared(_sha256(head), greys, _summary(head)), seconds
    if grey:
        raise ProtocolError("there are bytes after the head")
    detail = _text(head, "detail")
    match head["kind"]:
        case Kind.REJECTED:
            sha256 = _sha256(head) if head["sha256"] is not None else None
            return RejectedFilm(sha256, _reason(head), detail), seconds
        case Kind.POSTPONED:
            return Postponed(detail), seconds
        case _:
            return Crashed(detail, _flag(head, "is_fault")), seconds


def _message(kind: Kind, fields: Mapping[str, Any], rest: bytes = b"") -> bytes:
    return json.dumps({"version": VERSION, "kind": kind.value, **fields}).encode() + b"\n" + rest


def _head(message: bytes, allowed: Mapping[Kind, set[str]]) -> tuple[dict[str, Any], bytes]:
    """Return the head, whose version, kind and field names are checked, and the bytes after it."""
    line, _, rest = message.partition(b"\n")
    if len(line) > MAX_HEAD_BYTES:
        raise ProtocolError(f"a head of {len(line)} bytes")
    try:
        head = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the head is not JSON") from error
    if not isinstance(head, dict):
        raise ProtocolError("the head is not an object")
    if type(head.get("version")) is not int or head["version"] != VERSION:
        raise ProtocolError(f"version {_quoted(head.get('version'))}; this side speaks {VERSION}")
    try:
        kind = Kind(head["kind"])
    except (LookupError, ValueError, TypeError) as error:
        raise ProtocolError(f"unknown kind {_quoted(head.get('kind'))}") from error
    if kind not in allowed:
        raise ProtocolError(f"a message of kind {kind} has no place here")
    if head.keys() != allowed[kind] | {"version", "kind"}:
        raise ProtocolError(f"a message of kind {kind} has other fields than {sorted(allowed[kind])}")
    return head, rest


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _quoted(value: object) -> str:
    """Return a value for a log line; a hijacked decoder may send anything."""
    return ascii(value)[:40]


def _printable(detail: str) -> str:
    """Return a sentence as the database takes it: no NUL, no lone surrogate, no line break."""
    return "".join(letter if letter.isprintable() else "?" for letter in detail[:MAX_DETAIL_CHARACTERS])


def _text(head: Mapping[str, Any], name: str) -> str:
    value = head[name]
    if not isinstance(value, str) or len(value) > MAX_DETAIL_CHARACTERS or not value.isprintable():
        raise ProtocolError(f"{name} is not a short printable text")
    return value


def _flag(head: Mapping[str, Any], name: str) -> bool:
    value = head[name]
    if not isinstance(value, bool):
        raise ProtocolError(f"{name} is neither true nor false")
    return value


def _sha256(head: Mapping[str, Any]) -> str:
    value = head["sha256"]
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ProtocolError("sha256 is not a SHA-256")
    return value


def _reason(head: Mapping[str, Any]) -> Reason:
    try:
        return Reason(head["reason"])
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"unknown reason {_quoted(head['reason'])}") from error


def _number(fields: Mapping[str, Any], name: str, most: float) -> float:
    value = fields[name]
    if type(value) not in {int, float} or not 0 <= value <= most:
        raise ProtocolError(f"{name} is not a number between 0 and {most}")
    return float(value)


def _side(fields: Mapping[str, Any], name: str) -> int:
    value = fields[name]
    if type(value) is not int or not 1 <= value <= MAX_INTEGER:
        raise ProtocolError(f"{name} is not a number of pixels")
    return value


def _summary(head: Mapping[str, Any]) -> FilmSummary:
    fields = head["summary"]
    if not isinstance(fields, dict) or fields.keys() != {"grey_mean", "grey_spread", "height_pixels", "width_pixels"}:
        raise ProtocolError("summary has other fields")
    return FilmSummary(
        grey_mean=_number(fields, "grey_mean", MAX_GREY),
        grey_spread=_number(fields, "grey_spread", MAX_GREY),
        height_pixels=_side(fields, "height_pixels"),
        width_pixels=_side(fields, "width_pixels"),
    )
