"""What a training may use of the machine: its share of the processor beside scoring, and its devices."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from model_training.settings import Devices
from worker.models import backend

#: Environment variables that limit threads: TensorFlow's own, and that of OpenMP, which PyTorch and BLAS read.
THREAD_LIMITS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def yield_to_scoring(niceness: int, threads: int) -> None:
    """Lower the priority of this process below scoring. Call it before the backend is imported.

    Args:
        niceness: the value to reach, as `nice` counts it; it is not added, because one child process runs several
            trainings.
        threads: number of threads that compute at once; 0 leaves the choice to the backend.
    """
    # Without a privilege a process can only become nicer.
    os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
    if threads:
        # The backend reads these at import. Its own functions come too late: it has then looked for devices already.
        os.environ.update(dict.fromkeys(THREAD_LIMITS, str(threads)))


@contextmanager
def distribute_over(devices: Devices) -> Iterator[None]:
    """Split each batch over all devices of this host if `devices` is "all".

    Uses Keras's own distribution with JAX, and `tf.distribute.MirroredStrategy` with TensorFlow, which Keras's does not
    support.
    """
    if devices == "one":
        yield
        return
    keras = backend.keras()
    if keras.backend.backend() == "tensorflow":
        with importlib.import_module("tensorflow").distribute.MirroredStrategy().scope():
            yield
        return
    previous = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        yield
    finally:
        keras.distribution.set_distribution(previous)
