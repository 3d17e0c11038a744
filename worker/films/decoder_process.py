"""A process that prepares films for whoever started it, and has nothing else: no database, no settings, no network.

`worker.films.decoder_pool` starts it with a pipe, and ends it by closing that.
"""

import contextlib
import gc
import json
import os
import pickle
import signal
import sys
import time
from multiprocessing.connection import Connection

from worker.decoding import PREPROCESSING
from worker.films.preparation import Answer, Preparation, Prepared, prepare

LEFT_TO_ITS_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def serve(pipe: Connection) -> None:
    """Answer until nobody asks any more."""
    pipe.send_bytes(PREPROCESSING.encode())
    preparation: Preparation | None = None
    while True:
        places, news, preview = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from the process that started us
        preparation = news or preparation
        if preparation is None:
            raise ValueError("films are prepared for a network")
        since = time.perf_counter()
        for answer in prepare(places, preparation, preview=preview):
            _send(pipe, answer, since)
            since = time.perf_counter()


def _send(pipe: Connection, answer: Answer, since: float) -> None:
    """Send an answer: a line of JSON, and the grey values, if there are any."""
    told, grey = {name: value for name, value in vars(answer).items() if name not in {"film", "look"}}, b""
    if isinstance(answer, Prepared):
        told, grey = told | {"look": vars(answer.look)}, answer.film.tobytes()
    told |= {"kind": type(answer).__name__.lower(), "seconds": time.perf_counter() - since}
    pipe.send_bytes(json.dumps(told).encode() + b"\n" + grey)


if __name__ == "__main__":
    for number in LEFT_TO_ITS_PARENT:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    # The other end is closed: whoever asked is gone. Threads that hang in a read must not hold us.
    with contextlib.suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
    os._exit(0)
