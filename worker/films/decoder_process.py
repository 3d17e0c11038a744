"""A process that prepares films for the process that started it.

`worker.films.decoder_pool` starts it with a pipe, and ends it by closing the pipe. Does not import a database, the
settings or a network.
"""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from worker.decoding import PREPROCESSING
from worker.films.decoder_memory import limit_memory
from worker.films.decoder_protocol import decode_request, encode_outcome, encode_ready
from worker.films.preparation import Preparation, prepare

#: A thread of a read needs little; the usual 8 MB of each would count against the limit on memory.
STACK_BYTES = 256 * 2**10
LEFT_TO_ITS_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def serve(pipe: Connection) -> None:
    """Prepare films until the other end of the pipe is closed.

    Raises:
        EOFError, OSError: it was closed.
        ProtocolError: the pool is of another release.
    """
    pipe.send_bytes(encode_ready(PREPROCESSING))
    preparation: Preparation | None = None
    films = 0
    while True:
        request = decode_request(pipe.recv_bytes())
        preparation = request.preparation or preparation
        if preparation is None:
            raise ValueError("the first request names no preparation")
        since = time.perf_counter()
        for outcome in prepare(request.places, preparation, preview=request.preview):
            pipe.send_bytes(encode_outcome(outcome, films, time.perf_counter() - since))
            films += 1
            since = time.perf_counter()


if __name__ == "__main__":
    for number in LEFT_TO_ITS_PARENT:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    threading.stack_size(STACK_BYTES)
    limit_memory()
    # These errors mean that the other end is closed. Threads that hang in a read must not keep this process alive.
    with contextlib.suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
    os._exit(0)
