"""Keras and its backend, imported once, late and quietly; nothing else of the project imports Keras by name.

Late, because the import costs seconds and may take a GPU: that is for the child that computes.
"""

import ctypes
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)

#: For mallopt(3): M_MMAP_THRESHOLD, of which glibc takes no more; M_TRIM_THRESHOLD; M_TOP_PAD.
KEPT_MEMORY = {-3: 32 * 2**20, -1: 2**31 - 1, -2: 64 * 2**20}


@cache
def keras() -> Any:  # noqa: ANN401 - Keras publishes no types
    """Return the module `keras` with its backend ready to compute."""
    with _native_messages_logged():
        module = importlib.import_module("keras")
        module.distribution.list_devices()  # The backend looks for devices, and talks about it, at first use.
    keep_freed_memory()
    return module


def keep_freed_memory() -> None:
    """Let the C library keep freed tensors instead of giving each back to the system at once.

    Otherwise the system clears fresh pages for every tensor of every step. TensorFlow makes it worse: whenever it reads
    a data set from a Python generator it has glibc give back anything above 128 kB, which halves the speed of training
    on a CPU (measured: 16.6 against 31.2 films a second). Other C libraries are left as they are.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    for option, size_bytes in KEPT_MEMORY.items():
        libc.mallopt(option, size_bytes)


@contextmanager
def _native_messages_logged() -> Iterator[None]:
    """Send to the log, as debug messages, what native code writes to stderr past every setting of TensorFlow.

    It writes a dozen lines about missing GPUs, which would bury the one line of an error.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            logger.debug("%s", said.read().decode(errors="replace"))
