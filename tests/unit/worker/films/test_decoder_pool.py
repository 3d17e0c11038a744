"""Decoders are processes of their own: when one dies, one film loses an attempt, and nothing else happens."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from unittest.mock import Mock

import numpy as np
import psutil
import pytest
from PIL import Image as Picture

from worker.decoding import PREPROCESSING, decode
from worker.decoding.limits import Limits
from worker.errors import Reason
from worker.films import preparation as preparing
from worker.films.decoder_pool import DecoderPool, _DecoderProcess
from worker.films.decoder_protocol import VERSION, ProtocolError, encode_ready
from worker.films.film_check import FilmCheck
from worker.films.phantoms import draw
from worker.films.preparation import FILES_AHEAD, Crashed, Place, Postponed, Preparation, Prepared, RejectedFilm
from worker.models import directory
from worker.models.classifier import Classifier

FILMS = 5


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(directory.SHIPPED_PHANTOMS)


@pytest.fixture
def preparation(tmp_path, classifier) -> Preparation:
    """Five phantoms below the root `films`, named by their numbers."""
    for seed in range(FILMS):
        Picture.fromarray(draw("Opacity", seed)).save(tmp_path / f"{seed}.png")
    check = classifier.film_check
    return Preparation({"films": tmp_path}, Limits(), tmp_path / "previews", classifier.card.input_size, check)


@pytest.fixture
def before() -> set[psutil.Process]:
    """The decoders of other tests."""
    return processes()


@pytest.fixture
def one(before) -> Iterator[DecoderPool]:
    """A single decoder, so that it is known who decodes what."""
    with contextlib.closing(DecoderPool(1)) as decoders:
        yield decoders


def prepared(decoders, preparation, *paths, preview=False):
    places = [Place("films", path, None) for path in paths or [f"{seed}.png" for seed in range(FILMS)]]
    return [answer for part in decoders.prepare(places, preparation, preview=preview) for answer in part.result()]


def processes() -> set[psutil.Process]:
    ours = psutil.Process().children(recursive=True)
    return {child for child in ours if "worker.films.decoder_process" in " ".join(child.cmdline())}


def kinds(answers):
    return [type(answer) for answer in answers]


def test_a_film_comes_back_as_it_would_be_prepared_here(preparation, classifier, tmp_path):
    """In the order of the request, whichever of several decoders prepared it."""
    with contextlib.closing(DecoderPool(2)) as two:
        answers = prepared(two, preparation, preview=True)

    assert [Prepared] * FILMS == kinds(answers)
    for seed, answer in enumerate(answers):
        data = (tmp_path / f"{seed}.png").read_bytes()
        assert np.array_equal(classifier.prepare(decode(data)), answer.film)
        assert (tmp_path / "previews" / answer.sha256[:2] / f"{answer.sha256}.jpg").is_file()
        assert float(answer.film.mean()) == answer.summary.grey_mean


def test_a_decoder_stays_in_step_from_one_request_to_the_next(one, preparation, tmp_path):
    """Each outcome belongs to the requested film, also after other kinds of outcome."""
    (tmp_path / "text.png").write_text("no film")
    for seed in (3, 1, 2, 1, 0):
        prepared(one, preparation, "text.png")
        (answer,) = prepared(one, preparation, f"{seed}.png")
        assert hashlib.sha256((tmp_path / f"{seed}.png").read_bytes()).hexdigest() == answer.sha256


def test_an_outcome_that_nobody_waited_for_is_taken_for_no_other_film(preparation):
    """A decoder out of step would give one film the findings of another."""
    decoder = _DecoderProcess()
    try:
        decoder.wait_until_ready()
        two = [Place("films", "0.png", None), Place("films", "1.png", None)]
        next(decoder.prepare(two, preparation, preview=False))

        with pytest.raises(ProtocolError, match="it is the turn of"):
            next(decoder.prepare(two[:1], preparation, preview=False))
    finally:
        decoder.end()


def test_reasons_cross_the_pipe(one, preparation, tmp_path):
    """The film's fault and trouble outside stay apart."""
    (tmp_path / "text.png").write_text("no film")
    answers = prepared(one, preparation, "text.png", "none.png")
    elsewhere = one.prepare(
        [Place("films", "0.png", "0" * 64), Place("other", "0.png", None)], preparation, preview=False
    )
    unmounted = dataclasses.replace(preparation, roots={"films": tmp_path / "unmounted"})

    assert [Reason.UNSUPPORTED_FORMAT, Reason.NOT_FOUND] == [answer.reason for answer in answers]
    assert [Reason.CHECKSUM_MISMATCH, Reason.OUTSIDE_ROOT] == [a.reason for part in elsewhere for a in part.result()]
    assert [Postponed] == kinds(prepared(one, unmounted, "0.png"))
    assert [Prepared] == kinds(prepared(one, preparation, "0.png"))


def test_the_film_at_hand_when_a_decoder_is_killed_is_charged_and_no_other(one, preparation, before):
    """Another process takes over the rest."""
    prepared(one, preparation, "0.png")
    (decoder,) = processes() - before
    decoder.suspend()
    coming = one.prepare([Place("films", "1.png", None), Place("films", "2.png", None)], preparation, preview=False)
    assert not coming[0].done()
    decoder.kill()

    assert [Crashed("it ended with -9"), Prepared] == [
        answer if isinstance(answer, Crashed) else type(answer) for part in coming for answer in part.result()
    ]


def test_a_decoder_that_dies_idle_costs_no_film_anything(one, preparation, before):
    """It is replaced before it gets the next film."""
    prepared(one, preparation, "0.png")
    (decoder,) = processes() - before
    decoder.kill()
    decoder.wait()

    assert [Prepared] * FILMS == kinds(prepared(one, preparation))


def test_a_decoder_that_hangs_is_replaced(one, preparation, before, monkeypatch):
    """No film takes so long; the films requested with it are postponed, since the task has a time limit."""
    monkeypatch.setattr("worker.films.decoder_pool.SILENCE_SECONDS", 1)
    prepared(one, preparation, "0.png")
    (decoder,) = processes() - before
    decoder.suspend()

    assert [Crashed, Postponed, Postponed, Prepared, Prepared] == kinds(prepared(one, preparation))
    psutil.wait_procs([decoder], timeout=10)
    assert not decoder.is_running() or decoder.status() == psutil.STATUS_ZOMBIE


PREPARED = {
    "version": VERSION, "film": 0, "kind": "prepared", "seconds": 0.1, "sha256": "a" * 64,
    "summary": {"grey_mean": 1.0, "grey_spread": 1.0, "height_pixels": 64, "width_pixels": 64},
}  # fmt: skip
REJECTED = {
    "version": VERSION, "film": 0, "kind": "rejected", "seconds": 0, "sha256": None, "reason": "blank", "detail": "",
}  # fmt: skip
GREY = bytes(64 * 64)


def played(monkeypatch, greeting: bytes, reply: bytes) -> DecoderPool:
    """Return a pool with a fake decoder that sends `reply` after any request."""
    ours, its_end = Pipe()
    theirs = Connection(os.dup(its_end.fileno()))

    def play():
        theirs.send_bytes(greeting)
        with contextlib.suppress(EOFError, OSError):
            theirs.recv_bytes()
            theirs.send_bytes(reply)
        theirs.close()

    process = Mock(poll=Mock(return_value=None), wait=Mock(return_value=0))
    monkeypatch.setattr("worker.films.decoder_pool.Pipe", lambda: (ours, its_end))
    monkeypatch.setattr("worker.films.decoder_pool.subprocess.Popen", Mock(return_value=process))
    threading.Thread(target=play, daemon=True).start()
    return DecoderPool(1)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json.dumps(PREPARED).encode() + b"\n" + GREY, Prepared),
        (json.dumps(PREPARED).encode() + b"\n" + GREY[1:], Crashed),
        (json.dumps(PREPARED | {"sha256": "../../etc"}).encode() + b"\n" + GREY, Crashed),
        (json.dumps(PREPARED | {"sha256": ["a" * 64]}).encode() + b"\n" + GREY, Crashed),
        (json.dumps(REJECTED | {"reason": "?"}).encode(), Crashed),
        (json.dumps(REJECTED | {"kind": "refused"}).encode(), Crashed),
        (json.dumps(REJECTED | {"version": VERSION + 1}).encode(), Crashed),
        (b"[" * 60_000, Crashed),
        (b"no words", Crashed),
        (b"[]", Crashed),
        (bytes(2**20), Crashed),
    ],
    ids=[
        "well",
        "too few greys",
        "no hash",
        "a list",
        "no reason",
        "no kind",
        "another version",
        "too deep",
        "no JSON",
        "no object",
        "too long",
    ],
)
def test_a_message_that_no_decoder_sends_costs_its_film_an_attempt(monkeypatch, preparation, reply, kind):
    """A hostile film may control its decoder, so every field of a message is checked."""
    with contextlib.closing(played(monkeypatch, encode_ready(PREPROCESSING), reply)) as decoders:
        assert [kind] == kinds(prepared(decoders, preparation, "0.png"))


def test_an_invalid_message_is_logged_as_such(monkeypatch, preparation, caplog):
    """The log distinguishes an unknown kind of message from a decoder that died."""
    unknown = json.dumps(REJECTED | {"kind": "refused"}).encode()
    with contextlib.closing(played(monkeypatch, encode_ready(PREPROCESSING), unknown)) as decoders:
        (answer,) = prepared(decoders, preparation, "0.png")

    assert "a decoder sent an invalid message: unknown kind 'refused'" in caplog.text
    assert Crashed("its decoder sent an invalid message: unknown kind 'refused'") == answer


@pytest.mark.parametrize(
    "greeting",
    [encode_ready("grey8-of-tomorrow"), encode_ready(PREPROCESSING).replace(b"2", b"1", 1), PREPROCESSING.encode()],
    ids=["another preprocessing", "another version", "no protocol"],
)
def test_a_decoder_of_another_release_is_not_asked(monkeypatch, preparation, greeting, caplog):
    """Its films would not be those that the network was trained on, and its messages may mean something else."""
    with contextlib.closing(played(monkeypatch, greeting, b"")) as decoders:
        assert [Postponed] == kinds(prepared(decoders, preparation, "0.png"))

    assert "the installation was changed under this process" in caplog.text


def test_an_error_that_no_film_should_cause_costs_its_own_film_an_attempt(one, preparation):
    """A film check does not fit. The error's type and place are reported; its text may quote the film."""
    broken = FilmCheck(np.zeros(3), np.zeros((1, 3)), np.ones(1), residual=1, threshold=1)

    answers = prepared(one, dataclasses.replace(preparation, film_check=broken))

    assert [Crashed] * FILMS == kinds(answers)
    for answer in answers:
        assert re.fullmatch(r"ValueError in a decoder, film_check\.py line \d+", answer.detail)
    assert [Prepared] == kinds(prepared(one, preparation, "0.png"))


def test_films_wait_where_no_decoder_can_be_started(preparation, monkeypatch):
    """They are not at fault, so no attempt is counted."""
    monkeypatch.setattr("worker.films.decoder_pool.sys.executable", "/bin/false")

    with contextlib.closing(DecoderPool(1)) as none:
        assert [Postponed] * FILMS == kinds(prepared(none, preparation))


def test_a_decoder_knows_no_secret_and_heeds_its_parent_alone(preparation, before, monkeypatch):
    """A signal to the whole group is for the worker, which ends its decoders by closing their pipes."""
    monkeypatch.setenv("THORAQ_SECRET_KEY", "a secret")
    monkeypatch.setenv("PGPASSWORD", "a secret")
    with contextlib.closing(DecoderPool(1)) as decoders:
        prepared(decoders, preparation, "0.png")
        (decoder,) = processes() - before

        assert "a secret" not in decoder.environ().values()
        assert "PATH" in decoder.environ()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            decoder.send_signal(number)
        assert [Prepared] * FILMS == kinds(prepared(decoders, preparation))


def test_decoders_end_with_their_parent_however_it_ends(tmp_path):
    """A killed parent cannot end them itself."""
    program = (
        "import psutil, time\nfrom worker.films.decoder_pool import DecoderPool\nkept = DecoderPool(2)\n"
        "children = psutil.Process().children\n"
        "while len(children(recursive=True)) < 2: time.sleep(0.1)\n"
        "print(*[child.pid for child in children(recursive=True)], flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        decoders = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        os.kill(parent.pid, signal.SIGKILL)

    assert 2 == len(decoders)
    _, alive = psutil.wait_procs(decoders, timeout=20)
    assert [] == alive


def test_a_decoder_imports_neither_a_database_nor_a_network():
    """So it starts quickly, and a hostile film finds no secret in it."""
    heavy = "{'sqlalchemy', 'keras', 'tensorflow', 'celery', 'pydantic', 'flask'}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, worker.films.decoder_process; print({heavy} & set(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "set()" == done.stdout.strip()


def test_the_next_file_is_begun_before_its_turn_and_no_more():
    """The caller waits for each in its turn."""
    begun = []

    def begin(number):
        begun.append(number)
        return io.BytesIO(str(number).encode()).read

    ahead = preparing.read_ahead(range(6), begin)

    for number in range(6):
        item, wait = next(ahead)
        assert number == item
        assert list(range(min(6, number + 1 + FILES_AHEAD))) == begun
        assert str(number).encode() == wait()


def test_refusals_keep_the_content_of_what_was_read(one, preparation, tmp_path):
    """A rejection can be traced to the bytes that were read."""
    (tmp_path / "empty.png").write_bytes(b"")

    (answer,) = prepared(one, preparation, "empty.png")

    assert isinstance(answer, RejectedFilm)
    assert (Reason.EMPTY, 64) == (answer.reason, len(answer.sha256))
