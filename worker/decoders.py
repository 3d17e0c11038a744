"""Processes that prepare films, each a fresh interpreter without the worker's secrets: threads ask, and wait.

Threads of one interpreter would wait for its lock, and a decoder that dies would take the network with it. What comes
back is JSON and grey values: nothing that a hostile film may have made of its decoder is unpickled.
"""

import contextlib
import gc
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing.connection import Connection, Pipe
from typing import Any

import numpy as np

from worker import children, measurements
from worker.errors import Reason
from worker.film_look import FilmLook
from worker.preparing import Place, Postponed, Preparation, Prepared, Refused, prepare

logger = logging.getLogger(__name__)

#: Films that one decoder is asked for at once: as many as make the asking cheap, and few enough that all have some.
MOST_AT_ONCE = 16
#: A decoder that says nothing for so long hangs. Longer than a file system's patience and any film together.
SILENCE_SECONDS = 60
#: A decoder imports for less than a second; a machine that is busy starting everything takes longer.
START_SECONDS = 60
#: A process that nobody asks any more, or that is killed, is gone at once, or hangs.
END_SECONDS = 1
LEFT_TO_ITS_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
READY = b"ready"
#: What asking a decoder raises that died, hangs, or is no longer itself.
GONE = (EOFError, OSError, LookupError, TypeError, ValueError)
#: What an interpreter needs of its environment, by how the names begin; no password is among it.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_", "LD_", "TZ", "TMPDIR", "PYTHON", "MALLOC_")


@dataclass(frozen=True)
class Crashed:
    """A film during which its decoder died, or failed as no film should make it fail."""

    detail: str


Answer = Prepared | Refused | Postponed | Crashed


class Decoders:
    """As many processes as are asked for; each thread of ours that asks has its own."""

    def __init__(self, count: int) -> None:
        """Start them all; they import while the caller goes on."""
        self._count = count
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")
        together = threading.Barrier(count)
        for _ in range(count):
            self._threads.submit(self._start, together)

    def prepare(
        self, places: Sequence[Place], preparation: Preparation, *, preview: bool
    ) -> list[Future[list[Answer]]]:
        """Have films prepared, and return what will tell of them, in order, some films each."""
        at_once = max(1, min(MOST_AT_ONCE, -(-len(places) // (2 * self._count))))
        parts = [places[first : first + at_once] for first in range(0, len(places), at_once)]
        return [self._threads.submit(self._ask, part, preparation, preview=preview) for part in parts]

    def close(self) -> None:
        """End the processes, once they have answered."""
        together = threading.Barrier(self._count)
        for _ in range(self._count):
            self._threads.submit(self._stop, together)
        self._threads.shutdown()

    def _stop(self, together: threading.Barrier) -> None:
        together.wait(START_SECONDS)
        if decoder := getattr(self._own, "decoder", None):
            decoder.end()

    def _start(self, together: threading.Barrier) -> None:
        self._decoder()
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(START_SECONDS)  # Or one thread would start two, and another none.

    def _decoder(self) -> "_Decoder":
        known: _Decoder | None = getattr(self._own, "decoder", None)
        if known is None or known.has_ended():
            self._own.decoder = _Decoder()
        decoder: _Decoder = self._own.decoder
        return decoder

    def _ready_decoder(self) -> "_Decoder":
        decoder = self._decoder()
        try:
            decoder.wait_until_ready()
        except (OSError, EOFError):
            self._own.decoder = None
            decoder.end()
            raise
        return decoder

    def _ask(self, places: Sequence[Place], preparation: Preparation, *, preview: bool) -> list[Answer]:
        """Return an answer for each film; after one during which its decoder died, the others are another's."""
        answers: list[Answer] = []
        while len(answers) < len(places):
            try:
                decoder = self._ready_decoder()
            except (OSError, EOFError) as error:
                logger.error("no decoder can be started: %s", type(error).__name__)  # noqa: TRY400
                return answers + [Postponed("no decoder can be started")] * (len(places) - len(answers))
            try:
                for answer in decoder.ask(places[len(answers) :], preparation, preview=preview):
                    answers.append(answer)  # noqa: PERF402 - those before an error count
            except GONE as error:
                self._own.decoder = None
                detail = decoder.end()
                logger.error("a decoder died: %s (%s)", detail, type(error).__name__)  # noqa: TRY400
                answers.append(Crashed(detail))
        return answers


class _Decoder:
    """One process, from our side of its pipe."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: the system starts no more processes.
        """
        self._pipe, its_end = Pipe()
        self._ready = False
        self._preparation: Preparation | None = None
        command = children.bound_to_us([sys.executable, "-m", "worker.decoders", str(its_end.fileno())])
        environment = {name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT)}
        with its_end:
            self._process = subprocess.Popen(  # noqa: S603
                command, pass_fds=[its_end.fileno()], stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )

    def has_ended(self) -> bool:
        """Tell whether it died while it had nothing to do."""
        return self._process.poll() is not None

    def wait_until_ready(self) -> None:
        """Wait until it has imported all that it needs.

        Raises:
            EOFError: it ended instead.
            OSError: it takes too long.
        """
        if not self._ready:
            self._receive(START_SECONDS)
            self._ready = True

    def ask(self, places: Sequence[Place], preparation: Preparation, *, preview: bool) -> Iterator[Answer]:
        """Yield an answer for each film, in order.

        Raises:
            EOFError: it died.
            OSError: it died, or has been silent for too long.
            LookupError, TypeError, ValueError: it says what no decoder says.
        """
        news = None if preparation is self._preparation else preparation
        self._pipe.send_bytes(pickle.dumps((places, news, preview)))
        self._preparation = preparation
        for _ in places:
            yield self._answer()

    def end(self) -> str:
        """Let it end, which it does when nobody asks any more, or kill it; tell how it ended, in words."""
        self._pipe.close()
        try:
            return f"it ended with {self._process.wait(END_SECONDS)}"
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # It hangs in the kernel.
                self._process.wait(END_SECONDS)
            return "it hung"

    def _answer(self) -> Answer:
        words, _, grey = self._receive(SILENCE_SECONDS).partition(b"\n")
        told: dict[str, Any] = json.loads(words)
        measurements.decoding.observe(told["seconds"])
        match told["kind"]:
            case "prepared":
                film = np.frombuffer(grey, np.uint8).reshape(told["film"])
                return Prepared(told["sha256"], film, FilmLook(**told["look"]))
            case "refused":
                return Refused(told["sha256"], Reason(told["reason"]), told["detail"])
            case "postponed":
                return Postponed(told["detail"])
            case _:
                return Crashed(told["detail"])

    def _receive(self, seconds: float) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return self._pipe.recv_bytes()


@cache
def decoders(count: int) -> Decoders:
    """Return this process's decoders; a forked child starts its own."""
    return Decoders(count)


def _serve(pipe: Connection) -> None:
    """Answer until nobody asks any more."""
    pipe.send_bytes(READY)
    preparation: Preparation | None = None
    while True:
        places, news, preview = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from the process that started us
        preparation = news or preparation
        if preparation is None:
            raise ValueError("films are prepared for a network")
        left = list(places)
        while left:
            _answer_some(pipe, left, preparation, preview=preview)


def _answer_some(pipe: Connection, left: list[Place], preparation: Preparation, *, preview: bool) -> None:
    """Answer for the films that are left, up to the first that fails as no film should, and take them off."""
    since = time.perf_counter()
    films = prepare(tuple(left), preparation, preview=preview)
    while left:
        try:
            prepared = next(films)
        except Exception as error:  # noqa: BLE001 - the name says what to look for; its text may quote the film
            _send(pipe, Crashed(f"{type(error).__name__} in a decoder"), since)
            left.pop(0)
            return
        _send(pipe, prepared, since)
        left.pop(0)
        since = time.perf_counter()


def _send(pipe: Connection, answer: Answer, since: float) -> None:
    """Send an answer: a line of JSON, and the grey values, if there are any."""
    told, grey = asdict(answer), b""
    if isinstance(answer, Prepared):
        told, grey = {**told, "film": answer.film.shape}, answer.film.tobytes()
    told |= {"kind": type(answer).__name__.lower(), "seconds": time.perf_counter() - since}
    pipe.send_bytes(json.dumps(told).encode() + b"\n" + grey)


if __name__ == "__main__":
    for number in LEFT_TO_ITS_PARENT:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    # The other end is closed: whoever asked is gone. Threads that hang in a read must not hold us.
    with contextlib.suppress(EOFError, OSError):
        _serve(Connection(int(sys.argv[1])))
    os._exit(0)
