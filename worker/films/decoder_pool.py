"""Processes that prepare films, from our side of their pipes: threads ask, and wait.

Threads of one interpreter would wait for its lock, and a decoder that dies would take the network with it. What comes
back is JSON and grey values: nothing that a hostile film may have made of its decoder is unpickled.
"""

import atexit
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from multiprocessing.connection import Pipe
from queue import SimpleQueue

from worker import children, metrics
from worker.decoding import PREPROCESSING
from worker.films import decoder_protocol
from worker.films.decoder_protocol import ProtocolError
from worker.films.preparation import Crashed, FilmOutcome, Place, Postponed, Preparation

logger = logging.getLogger(__name__)

#: Films that one decoder is asked for at once: as many as make the asking cheap, and few enough that all have some.
MOST_AT_ONCE = 16
#: A decoder that says nothing for so long hangs. Longer than a file system's patience and any film together, and short
#: enough that the task which asked is not cut off.
SILENCE_SECONDS = 40
#: A decoder imports for a second; a machine that is busy starting everything takes longer.
START_SECONDS = 60
#: A process that nobody asks any more, or that is killed, is gone at once, or hangs.
END_SECONDS = 1
#: Errors raised when a decoder has died, hangs, or sends something invalid.
GONE = (EOFError, OSError, ProtocolError)
#: What an interpreter needs of its environment, by how the names begin; no password is among it.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_", "LD_", "TZ", "TMPDIR", "PYTHON", "MALLOC_")
#: There is a decoder for each core already.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class NotStarted(Exception):
    """No decoder can be started: nothing is wrong with the films."""


class DecoderPool:
    """As many processes as are asked for, and as many threads of ours that ask them."""

    def __init__(self, count: int) -> None:
        """Start them all; they import while the caller goes on."""
        self._count = count
        # The kernel ends a process with the thread that started it: these threads live as long as we do.
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")
        #: Those that nobody asks now; None for one that must be started first.
        self._idle: SimpleQueue[_DecoderProcess | None] = SimpleQueue()
        for _ in range(count):
            self._threads.submit(self._start)

    def prepare(
        self, places: Sequence[Place], preparation: Preparation, *, preview: bool
    ) -> list[Future[list[FilmOutcome]]]:
        """Have films prepared, and return what will tell of them, in order, some films each."""
        at_once = max(1, min(MOST_AT_ONCE, -(-len(places) // (2 * self._count))))
        parts = [places[first : first + at_once] for first in range(0, len(places), at_once)]
        return [self._threads.submit(self._prepare, part, preparation, preview=preview) for part in parts]

    def close(self) -> None:
        """End the processes, once they have answered."""
        self._threads.shutdown()
        for _ in range(self._count):
            if decoder := self._idle.get():
                decoder.end()

    def _start(self) -> None:
        decoder = None
        try:
            decoder = _DecoderProcess()
        finally:
            self._idle.put(decoder)

    def _prepare(self, places: Sequence[Place], preparation: Preparation, *, preview: bool) -> list[FilmOutcome]:
        """Return an outcome for each film; after one during which its decoder died, the others are another's.

        After one that hung they wait: what else is asked for in this task has its time, too.
        """
        outcomes: list[FilmOutcome] = []
        decoder, complete = self._idle.get(), False
        try:
            while left := places[len(outcomes) :]:
                try:
                    decoder = _ready(decoder)
                except NotStarted as error:
                    decoder = None
                    logger.error("no decoder can be started: %s", error)  # noqa: TRY400
                    outcomes += [Postponed("no decoder can be started")] * len(left)
                    break
                try:
                    for outcome in decoder.prepare(left, preparation, preview=preview):
                        outcomes.append(outcome)
                except GONE as error:
                    outcomes.append(_lost(decoder, error))
                    decoder = None
                    if isinstance(error, TimeoutError):
                        outcomes += [Postponed("a film before it hung")] * (len(places) - len(outcomes))
            complete = True
        finally:
            if decoder and not complete:  # Its outcomes would be taken for those of the next films.
                decoder.end()
                decoder = None
            self._idle.put(decoder)
        return outcomes


def _lost(decoder: "_DecoderProcess", error: Exception) -> Crashed:
    """End a decoder that failed during a film, and return what is known of the film.

    An invalid message costs the film an attempt: a hostile film may have taken over its decoder. The log tells it from
    a decoder that died.
    """
    ended = decoder.end()
    if isinstance(error, ProtocolError):
        logger.error("a decoder sent an invalid message: %s", error)
        return Crashed(f"its decoder sent an invalid message: {error}")
    logger.error("a decoder is given up: %s", type(error).__name__)
    return Crashed(ended)


def _ready(decoder: "_DecoderProcess | None") -> "_DecoderProcess":
    """Return a decoder that can be asked: this one, or a new one if it died while it had nothing to do.

    Raises:
        NotStarted: it cannot be started, or ends before it can be asked.
    """
    try:
        if decoder is None or decoder.has_ended():
            decoder = _DecoderProcess()
        decoder.wait_until_ready()
    except ProtocolError as error:
        if decoder:
            decoder.end()
        raise NotStarted(f"the installation was changed under this process: {error}") from error
    except (OSError, EOFError) as error:
        told = decoder.end() if decoder else ""
        raise NotStarted(f"{type(error).__name__} {told}") from error
    return decoder


class _DecoderProcess:
    """One process, from our side of its pipe."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: the system starts no more processes.
        """
        self._pipe, its_end = Pipe()
        self._ready = False
        self._max_bytes = decoder_protocol.MAX_HEAD_BYTES
        self._preparation: Preparation | None = None
        # -P: not what lies in the working directory, which decoders write to.
        command = children.killed_with_parent(
            [sys.executable, "-P", "-m", "worker.films.decoder_process", str(its_end.fileno())]
        )
        environment = {name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT)}
        with its_end:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                pass_fds=[its_end.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment | ONE_THREAD,
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        """Tell whether it died while it had nothing to do."""
        return self._process.poll() is not None

    def wait_until_ready(self) -> None:
        """Wait until it has imported all that it needs.

        Raises:
            EOFError: it ended instead.
            OSError: it takes too long.
            ProtocolError: it is of another release, or prepares films in another way.
        """
        if not self._ready:
            preprocessing = decoder_protocol.decode_ready(self._receive(START_SECONDS))
            if preprocessing != PREPROCESSING:
                raise ProtocolError(f"it prepares {preprocessing}")
            self._ready = True

    def prepare(self, places: Sequence[Place], preparation: Preparation, *, preview: bool) -> Iterator[FilmOutcome]:
        """Yield an outcome for each film, in order.

        Raises:
            EOFError: it died.
            OSError: it died, or has been silent for too long.
            ProtocolError: it sends something invalid.
        """
        news = None if preparation is self._preparation else preparation
        self._pipe.send_bytes(decoder_protocol.encode_request(decoder_protocol.Request(places, news, preview=preview)))
        self._preparation = preparation
        self._max_bytes = decoder_protocol.max_outcome_bytes(preparation.input_size)
        for _ in places:
            outcome, seconds = decoder_protocol.decode_outcome(self._receive(SILENCE_SECONDS), preparation.input_size)
            metrics.decoding.observe(seconds)
            yield outcome

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

    def _receive(self, seconds: float) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return self._pipe.recv_bytes(self._max_bytes)


@cache
def decoders(count: int) -> DecoderPool:
    """Return this process's decoders; a process that has some must not fork any more."""
    started = DecoderPool(count)
    atexit.register(started.close)
    return started
