"""Decoder processes, and the threads that send them films and wait for the outcomes.

Decoding in threads of this process would wait for the interpreter's lock, and a decoder that dies would end the process
and its loaded network. `worker.films.decoder_protocol` checks what comes back, since a hostile film may control its
decoder.
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

from worker import children
from worker.decoding import PREPROCESSING
from worker.films import decoder_protocol
from worker.films.decoder_protocol import ProtocolError
from worker.films.preparation import Crashed, FilmOutcome, Place, Postponed, Preparation
from worker.telemetry import metrics

logger = logging.getLogger(__name__)

#: How many films one decoder gets at once: enough to make a message cheap, few enough that every decoder has some.
MOST_AT_ONCE = 16
#: A decoder that sends nothing for this long hangs. This is longer than the time limit of a read and any film together,
#: and short enough that the task keeps its own time limit.
SILENCE_SECONDS = 40
#: A decoder needs a second for its imports, and longer on a machine that is starting everything.
START_SECONDS = 60
#: A process ends at once when its pipe is closed or when it is killed; after this time it hangs.
END_SECONDS = 1
#: Errors raised when a decoder has died, hangs, or sends something invalid.
GONE = (EOFError, OSError, ProtocolError)
#: A decoder gets only the environment variables whose names begin so. None of them is a password.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_", "LD_", "TZ", "TMPDIR", "PYTHON", "MALLOC_")
#: There is one decoder for each core, so that a decoder needs no threads of its own.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class NotStarted(Exception):
    """No decoder can be started, through no fault of the films."""


class DecoderPool:
    """A number of decoder processes, and as many threads that talk to them."""

    def __init__(self, count: int) -> None:
        """Start `count` processes; they import while the caller goes on."""
        self._count = count
        # The kernel ends a decoder with the thread that started it, so these threads live as long as this process.
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")
        #: Decoders without a request; None stands for one that must be started first.
        self._idle: SimpleQueue[_DecoderProcess | None] = SimpleQueue()
        for _ in range(count):
            self._threads.submit(self._start)

    def prepare(
        self, places: Sequence[Place], preparation: Preparation, *, preview: bool
    ) -> list[Future[list[FilmOutcome]]]:
        """Have films prepared; return futures of their outcomes, in order, several films in each."""
        at_once = max(1, min(MOST_AT_ONCE, -(-len(places) // (2 * self._count))))
        parts = [places[first : first + at_once] for first in range(0, len(places), at_once)]
        return [self._threads.submit(self._prepare, part, preparation, preview=preview) for part in parts]

    def close(self) -> None:
        """Wait for the outcomes that are due, then end the processes."""
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
        """Return an outcome for each film.

        When a decoder dies during a film, another one gets the rest. When it hangs, the rest is postponed, so that the
        task has time for its other films.
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
            if decoder and not complete:  # What it sends late would be taken for outcomes of the next films.
                decoder.end()
                decoder = None
            self._idle.put(decoder)
        return outcomes


def _lost(decoder: "_DecoderProcess", error: Exception) -> Crashed:
    """End a decoder that failed during a film, and return what is known of the film.

    An invalid message costs the film an attempt, as a death does: a hostile film may have taken over its decoder. The
    log says which of the two it was.
    """
    ended = decoder.end()
    if isinstance(error, ProtocolError):
        logger.error("a decoder sent an invalid message: %s", error)
        return Crashed(f"its decoder sent an invalid message: {error}")
    logger.error("a decoder is given up: %s", type(error).__name__)
    return Crashed(ended)


def _ready(decoder: "_DecoderProcess | None") -> "_DecoderProcess":
    """Return a decoder that is ready: this one, or a new one if it died while it had nothing to do.

    Raises:
        NotStarted: it cannot be started, or ends before it is ready.
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
        end = decoder.end() if decoder else ""
        raise NotStarted(f"{type(error).__name__} {end}") from error
    return decoder


class _DecoderProcess:
    """One decoder process, as the pool sees it."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: the system starts no more processes.
        """
        self._pipe, its_end = Pipe()
        self._ready = False
        self._max_bytes = decoder_protocol.MAX_HEAD_BYTES
        self._preparation: Preparation | None = None
        self._films_asked = 0
        # -P keeps Python from importing modules that lie in the working directory.
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
        change = None if preparation is self._preparation else preparation
        self._pipe.send_bytes(
            decoder_protocol.encode_request(decoder_protocol.Request(places, change, preview=preview))
        )
        self._preparation = preparation
        self._max_bytes = decoder_protocol.max_outcome_bytes(preparation.input_size)
        first, self._films_asked = self._films_asked, self._films_asked + len(places)
        for film in range(first, self._films_asked):
            message = self._receive(SILENCE_SECONDS)
            outcome, seconds = decoder_protocol.decode_outcome(message, film, preparation.input_size)
            metrics.decoding.observe(seconds)
            yield outcome

    def end(self) -> str:
        """Close its pipe, kill it if it does not end, and return in words how it ended."""
        self._pipe.close()
        try:
            return f"it ended with {self._process.wait(END_SECONDS)}"
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # It hangs in the kernel, where it cannot be killed.
                self._process.wait(END_SECONDS)
            return "it hung"

    def _receive(self, seconds: float) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return self._pipe.recv_bytes(self._max_bytes)


@cache
def decoders(count: int) -> DecoderPool:
    """Return this process's pool; a process that has one must not fork any more."""
    pool = DecoderPool(count)
    atexit.register(pool.close)
    return pool
