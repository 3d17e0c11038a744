"""A fault of the program is logged, and the film waits until it is fixed; a fault of the film rejects it."""

import io
from concurrent.futures import Future
from unittest.mock import Mock

import numpy as np
import pytest
from dicom_films import dicom_file
from PIL import Image as Picture
from sqlalchemy import select, update

from worker.database import reading, transaction
from worker.decoding import decode
from worker.decoding.limits import Limits
from worker.errors import Reason
from worker.films import archive
from worker.films.phantoms import draw
from worker.films.preparation import Crashed, Place, Preparation, Prepared, RejectedFilm, prepare
from worker.settings import settings
from worker.studies.records import Image, Priority, Rejection
from worker.submissions import intake
from worker.tasks.scoring import scorer

#: Two functions of ours, which the films below need.
DISPLAY, NARROWING = "worker.decoding.dicom_display._shown", "worker.decoding.pictures.narrowed"


def deep_png() -> bytes:
    buffer = io.BytesIO()
    Picture.fromarray(draw("Opacity", 1).astype(np.uint16) * 16).save(buffer, "PNG")
    return buffer.getvalue()


FILMS = [(DISPLAY, dicom_file()), (NARROWING, deep_png())]


def broken(*_args, **_options):
    raise AttributeError("a name that the film may have")


@pytest.mark.parametrize(("name", "data"), FILMS, ids=["DICOM", "picture"])
def test_a_fault_of_our_own_arithmetic_is_a_crash_and_no_rejection(tmp_path, monkeypatch, name, data):
    """Its type and place are reported, its text is not: that may quote the film."""
    (tmp_path / "film").write_bytes(data)
    preparation = Preparation({"films": tmp_path}, Limits(), tmp_path, (64, 64), None)
    monkeypatch.setattr(name, broken)

    (outcome,) = prepare([Place("films", "film", None)], preparation, preview=False)

    assert isinstance(outcome, Crashed)
    assert outcome.is_fault
    assert outcome.detail.startswith("AttributeError in a decoder, test_preparation.py line ")


def test_a_damaged_film_is_a_rejection(tmp_path):
    """It is a fault of the film."""
    (tmp_path / "film").write_bytes(dicom_file()[:-1000])
    preparation = Preparation({"films": tmp_path}, Limits(), tmp_path, (64, 64), None)

    (outcome,) = prepare([Place("films", "film", None)], preparation, preview=False)

    assert isinstance(outcome, RejectedFilm)
    assert Reason.CORRUPT == outcome.reason


def films_in(folder, monkeypatch, *sizes) -> tuple[list[Place], Preparation]:
    """Store films, and make a file of more than 100 kB large."""
    monkeypatch.setattr("worker.films.preparation.MAX_BYTES_AHEAD", 100_000)
    for number, size in enumerate(sizes):
        (folder / f"{number}").write_bytes(deep_png() + bytes(size))
    places = [Place("films", f"{number}", None) for number in range(len(sizes))]
    return places, Preparation({"films": folder}, Limits(), folder, (64, 64), None)


def test_a_film_that_needs_too_much_memory_is_rejected_and_its_neighbours_are_not(tmp_path, monkeypatch):
    """Its attempt would end in the same way again."""
    places, preparation = films_in(tmp_path, monkeypatch, 0, 0, 0)
    answers = iter([None, MemoryError, None])

    def short_of_memory(data, limits):
        if (error := next(answers)) is not None:
            raise error
        return decode(data, limits)

    monkeypatch.setattr("worker.films.preparation.decode", short_of_memory)

    first, second, third = prepare(places, preparation, preview=False)

    assert (Prepared, RejectedFilm, Prepared) == (type(first), type(second), type(third))
    assert Reason.TOO_MANY_PIXELS == second.reason
    assert first.sha256 == second.sha256


def test_a_large_file_is_not_read_ahead(tmp_path, monkeypatch):
    """Its bytes would take memory from the film before it."""
    places, preparation = films_in(tmp_path, monkeypatch, 0, 200_000, 0)
    asked = []
    read = archive.start_reading
    monkeypatch.setattr(archive, "start_reading", lambda *place: asked.append(place[3]) or read(*place))

    assert [Prepared] * 3 == [type(outcome) for outcome in prepare(places, preparation, preview=False)]
    assert [100_000, 100_000, 100_000, preparation.limits.max_bytes] == sorted(asked)


def test_a_file_for_which_the_film_before_left_no_memory_is_read_again(tmp_path, monkeypatch):
    """That film has given it back by then."""
    places, preparation = films_in(tmp_path, monkeypatch, 0)
    read, refused = archive.start_reading, []

    def short_of_memory(*place):
        if not refused:
            refused.append(place)
            return Mock(side_effect=MemoryError)
        return read(*place)

    monkeypatch.setattr(archive, "start_reading", short_of_memory)

    assert [Prepared] == [type(outcome) for outcome in prepare(places, preparation, preview=False)]
    assert refused


@pytest.fixture
def in_this_process(monkeypatch):
    """Films are prepared in this process, in which a test can break functions."""

    def prepare_here(_self, places, preparation, *, preview):
        outcomes = Future()
        outcomes.set_result(list(prepare(places, preparation, preview=preview)))
        return [outcomes]

    monkeypatch.setattr("worker.films.decoder_pool.DecoderPool.prepare", prepare_here)


@pytest.mark.parametrize(("name", "data"), FILMS, ids=["DICOM", "picture"])
def test_a_film_waits_until_the_program_is_fixed_and_is_then_scored(
    eager, phantom_model, in_this_process, monkeypatch, caplog, name, data
):
    """No attempt is charged, and the film is not rejected; the log has the error's type and not its text."""
    with monkeypatch.context() as fault:
        fault.setattr(name, broken)
        intake.submit_files([("film", data)], source="test", request_id=None, priority=Priority.ROUTINE)
        for attempt in range(settings().max_attempts):
            with transaction() as session:
                session.execute(update(Image).values(not_before=None))
            scorer().score_waiting(f"attempt {attempt}")

    with reading() as session:
        image = session.scalars(select(Image)).one()
        assert ("waiting", 0, None) == (image.state, image.attempts, image.finished_at)
        assert [] == session.scalars(select(Rejection)).all()
    assert "AttributeError in a decoder" in caplog.text
    assert "a name that the film may have" not in caplog.text

    with transaction() as session:
        session.execute(update(Image).values(not_before=None))
    scorer().score_waiting("after the fix")

    with reading() as session:
        assert "scored" == session.scalars(select(Image)).one().state
