"""The messages between decoder and pool: each kind is encoded and decoded, and anything else is an error."""

import json

import numpy as np
import pytest

from worker.decoding.limits import Limits
from worker.errors import Reason
from worker.films import decoder_protocol as protocol
from worker.films.decoder_protocol import Kind, ProtocolError, Request
from worker.films.preparation import Crashed, FilmOutcome, Place, Postponed, Preparation, Prepared, RejectedFilm
from worker.films.summary import FilmSummary

SHA256 = "a1" * 32
SIZE = (3, 4)
FILM = np.arange(12, dtype=np.uint8).reshape(SIZE)
GREYS = FILM.tobytes()
SUMMARY = FilmSummary(grey_mean=5.5, grey_spread=3.5, height_pixels=640, width_pixels=512)


def message(rest=b"", **fields) -> bytes:
    return json.dumps({"version": protocol.VERSION} | fields).encode() + b"\n" + rest


def prepared(rest=GREYS, **changes) -> bytes:
    """A message of kind `prepared`, with changes."""
    summary = {"grey_mean": 1.0, "grey_spread": 1.0, "height_pixels": 64, "width_pixels": 64}
    return message(
        rest, **({"kind": "prepared", "film": 0, "sha256": SHA256, "seconds": 0.1, "summary": summary} | changes)
    )


def rejected(**changes) -> bytes:
    """A message of kind `rejected`, with changes."""
    fields = {
        "kind": "rejected",
        "film": 0,
        "sha256": None,
        "reason": "blank",
        "detail": "nothing to see",
        "seconds": 0,
    }
    return message(**(fields | changes))


def test_the_names_in_messages_are_fixed():
    """They are not the names of classes, so that renaming a class changes no message."""
    assert {"ready", "prepare", "prepared", "rejected", "postponed", "crashed"} == {kind.value for kind in Kind}
    assert 2 == protocol.VERSION


def test_a_request_comes_back_as_it_was(tmp_path):
    """It may have a preparation, or none if that of the request before is used."""
    places = (Place("films", "a.png", SHA256), Place("films", "b.png", None))
    preparation = Preparation({"films": tmp_path}, Limits(), tmp_path, SIZE, None)

    for request in (Request(places, preparation, preview=True), Request(places, None, preview=False)):
        assert request == protocol.decode_request(protocol.encode_request(request))


def test_a_decoder_announces_its_preprocessing():
    """It is the first thing that the pool reads."""
    assert "grey8" == protocol.decode_ready(protocol.encode_ready("grey8"))


@pytest.mark.parametrize(
    "outcome",
    [
        RejectedFilm(SHA256, Reason.CORRUPT, "damaged"),
        RejectedFilm(None, Reason.NOT_FOUND, "no such file"),
        Postponed("the root films is not there"),
        Crashed("ValueError in a decoder", is_fault=True),
        Crashed("MemoryError in a decoder"),
    ],
)
def test_every_outcome_without_a_film_comes_back_as_it_was(outcome):
    """The time that it took comes with it."""
    assert (outcome, 0.25) == protocol.decode_outcome(protocol.encode_outcome(outcome, 7, 0.25), 7, SIZE)


def test_a_prepared_film_comes_back_grey_value_by_grey_value():
    """Grey values may be equal to the line break that ends a head."""
    film = np.full(SIZE, ord("\n"), np.uint8)

    outcome, seconds = protocol.decode_outcome(
        protocol.encode_outcome(Prepared(SHA256, film, SUMMARY), 0, 1.5), 0, SIZE
    )

    assert np.array_equal(film, outcome.film)
    assert (np.uint8, SIZE) == (outcome.film.dtype, outcome.film.shape)
    assert (SHA256, SUMMARY, 1.5) == (outcome.sha256, outcome.summary, seconds)


@pytest.mark.parametrize("detail", ["x" * 10_000, "a\0b", "\ud800", "two\nlines", "\x1b[31m"])
def test_a_detail_that_no_database_can_store_is_made_printable(detail):
    """The name of a root may have any characters."""
    outcome, _ = protocol.decode_outcome(protocol.encode_outcome(Postponed(detail), 0, 0), 0, SIZE)

    assert outcome.detail.isprintable()
    assert len(outcome.detail) <= protocol.MAX_DETAIL_CHARACTERS


def test_the_longest_outcome_fits():
    """The pool reads no more than this from the pipe."""
    crashed = Crashed("\N{GRINNING FACE}" * protocol.MAX_DETAIL_CHARACTERS)

    assert len(protocol.encode_outcome(Prepared(SHA256, FILM, SUMMARY), 2**40, 1e-9)) < protocol.max_outcome_bytes(SIZE)
    assert len(protocol.encode_outcome(crashed, 2**40, 0)) < protocol.max_outcome_bytes(SIZE)


@pytest.mark.parametrize("kind", ["refused", "Prepared", "", None, 3, ["prepared"], {"prepared": 1}])
def test_an_unknown_kind_is_named_as_such(kind):
    """It is an error of the protocol; nothing is guessed about the film."""
    with pytest.raises(ProtocolError, match="unknown kind"):
        protocol.decode_outcome(prepared(kind=kind), 0, SIZE)


@pytest.mark.parametrize("version", [0, 1, 3, "2", True, 2.0, None, [2]])
def test_both_sides_refuse_another_version(version, tmp_path):
    """A decoder of another release may mean something else by the same words."""
    request = protocol.encode_request(Request((), None, preview=False)).partition(b"\n")[2]

    with pytest.raises(ProtocolError, match="version"):
        protocol.decode_outcome(prepared(version=version), 0, SIZE)
    with pytest.raises(ProtocolError, match="version"):
        protocol.decode_ready(message(kind="ready", preprocessing="grey8", version=version))
    with pytest.raises(ProtocolError, match="version"):
        protocol.decode_request(message(request, kind="prepare", preview=False, version=version))


@pytest.mark.parametrize("kind", ["ready", "prepare"])
def test_an_outcome_cannot_be_a_message_of_another_kind(kind):
    """A decoder that was sent a request does not announce itself again."""
    with pytest.raises(ProtocolError, match="no place"):
        protocol.decode_outcome(message(kind=kind), 0, SIZE)


def test_a_request_is_not_unpickled_unless_its_head_is_one():
    """Only the pool sends requests."""
    with pytest.raises(ProtocolError):
        protocol.decode_request(prepared(rest=b"cos\nsystem\n(S'false'\ntR."))


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "../../etc"},
        {"sha256": [SHA256]},
        {"sha256": None},
        {"sha256": SHA256 + "\n"},
        {"film": 1},
        {"film": -1},
        {"film": "0"},
        {"film": False},
        {"film": None},
        {"seconds": -1},
        {"seconds": "1"},
        {"seconds": True},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds": 10**400},
        {"summary": None},
        {"summary": {}},
        {"summary": {"grey_mean": 256, "grey_spread": 1, "height_pixels": 1, "width_pixels": 1}},
        {"summary": {"grey_mean": 1, "grey_spread": None, "height_pixels": 1, "width_pixels": 1}},
        {"summary": {"grey_mean": 1, "grey_spread": 1, "height_pixels": 2**31, "width_pixels": 1}},
        {"summary": {"grey_mean": 1, "grey_spread": 1, "height_pixels": 1.5, "width_pixels": 1}},
        {"summary": {"grey_mean": 1, "grey_spread": 1, "height_pixels": 1, "width_pixels": 1, "more": 1}},
        {"more": 1},
        {"rest": GREYS[1:]},
        {"rest": GREYS * 2},
        {"rest": b""},
    ],
)
def test_a_film_with_a_wrong_field_is_not_taken(changes):
    """Each field has its type and its range."""
    with pytest.raises(ProtocolError):
        protocol.decode_outcome(prepared(**changes), 0, SIZE)


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "?"},
        {"reason": None},
        {"reason": ["blank"]},
        {"detail": None},
        {"detail": "x" * 501},
        {"detail": "a\0b"},
        {"detail": "\ud800"},
        {"sha256": 5},
        {"rest": b"more"},
    ],
)
def test_a_rejection_with_a_wrong_field_is_not_taken(changes):
    """Text that the database cannot store does not reach it."""
    rest = changes.pop("rest", b"")
    with pytest.raises(ProtocolError):
        protocol.decode_outcome(rejected(**changes) + rest, 0, SIZE)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"no JSON", b"[]", b"null", b"5", b'"prepared"', b"{}", b"\xff\xfe\n", bytes(100),
        b"[" * 60_000, b'{"a":' * 10_000, b"9" * 60_000, b'{"version": ' + b"9" * 5000 + b"}",
        b'{"version": 2, "film": 0, "kind": "crashed", "detail": "", "is_fault": true, "seconds": NaN}\n',
        b'{"version": 2, "film": 0, "kind": "crashed", "detail": "", "is_fault": 1, "seconds": 1}\n',
        b'{"version": 2, "film": 0, "kind": "crashed", "detail": "", "is_fault": true, "seconds": 1e999}\n',
        b'{"version": 2, "film": 0, "kind": "crashed", "seconds": 1}\n',
        b"{" + b" " * protocol.MAX_HEAD_BYTES + b"}\n",
    ],
)  # fmt: skip
def test_a_hostile_head_is_an_error_of_the_protocol(data):
    """It raises no other error."""
    with pytest.raises(ProtocolError):
        protocol.decode_outcome(data, 0, SIZE)
    with pytest.raises(ProtocolError):
        protocol.decode_ready(data)
    with pytest.raises(ProtocolError):
        protocol.decode_request(data)


def test_a_changed_byte_anywhere_gives_an_outcome_or_an_error_of_the_protocol():
    """Thousands of changed messages raise nothing else."""
    random = np.random.default_rng(0)
    for number in range(3000):
        data = bytearray(prepared() if number % 2 else rejected())
        for position in random.integers(0, len(data), 1 + number % 3):
            data[position] = random.integers(256)
        try:
            outcome, _ = protocol.decode_outcome(bytes(data), 0, SIZE)
            assert isinstance(outcome, FilmOutcome)
        except ProtocolError:
            continue
