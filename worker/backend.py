"""Keras and its backend, imported once, late and quietly; nothing else of the project imports Keras by name.

Late, because the import costs seconds and may take a GPU: that is for the child that computes.
"""

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


@cache
def keras() -> Any:  # noqa: ANN401 - Keras publishes no types
    """Return the module `keras` with its backend ready to compute."""
    with _native_messages_logged():
        module = importlib.import_module("keras")
        module.distribution.list_devices()  # The backend looks for devices, and talks about it, at first use.
    return module


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
