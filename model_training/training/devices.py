"""What a training may take of the machine: its share of the processor beside scoring, and its devices."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from model_training.settings import Devices
from worker.models import backend

#: TensorFlow's own variables, and that of OpenMP, which PyTorch and BLAS ask.
THREAD_LIMITS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def yield_to_scoring(niceness: int, threads: int) -> None:
    """Make this process give way to scoring; for a child that has not imported the backend yet.

    Args:
        niceness: as `nice` counts it; set, not added, since one child carries out several runs.
        threads: that compute at once; 0 = the backend's own choice.
    """
    # A process may always become nicer, never less nice without a privilege.
    os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
    if threads:
        # Read when the backend is imported; its own functions come too late, after its first look for devices.
        os.environ.update(dict.fromkeys(THREAD_LIMITS, str(threads)))


@contextmanager
def distribute_over(devices: Devices) -> Iterator[None]:
    """Share each batch out over all devices of this host, where that is asked for, by what the backend has for it.

    Keras's own distribution with JAX; `tf.distribute.MirroredStrategy` with TensorFlow, which Keras's does not serve.
    """
    if devices == "one":
        yield
        return
    keras = backend.keras()
    if keras.backend.backend() == "tensorflow":
        distribute: Any = importlib.import_module("tensorflow").distribute
        with distribute.MirroredStrategy().scope():
            yield
        return
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
