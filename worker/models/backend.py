"""Imports Keras and its backend once; no other module imports Keras by name.

The import is late because it takes seconds and may take a GPU: only the child process that computes needs it.
"""

import ctypes
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)

#: For mallopt(3): M_MMAP_THRESHOLD (32 MiB is glibc's maximum), M_TRIM_THRESHOLD and M_TOP_PAD.
KEPT_MEMORY = {-3: 32 * 2**20, -1: 2**31 - 1, -2: 64 * 2**20}


@cache
def keras() -> Any:  # noqa: ANN401 - Keras publishes no types
    """Return the module `keras` with its backend ready to compute."""
    with _native_messages_logged():
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take most of a GPU at first use.
        module = importlib.import_module("keras")
        _share_the_device_and_round_as_processors_do(module.backend.backend())
        devices()  # At first use the backend looks for devices and prints messages.
    keep_freed_memory()
    return module


def devices() -> list[str]:
    """Return the names of the devices on which the backend can compute; Keras lists none for PyTorch."""
    keras_ = importlib.import_module("keras")
    if keras_.backend.backend() == "torch":
        count = int(importlib.import_module("torch").cuda.device_count())
        return [f"cuda:{number}" for number in range(count)] or ["cpu"]
    return [str(name).lower() for name in keras_.distribution.list_devices()]


def _share_the_device_and_round_as_processors_do(backend: str) -> None:
    """Take a GPU's memory as it is needed, and multiply float32 as float32; both must be set before first use.

    By default every backend rounds factors to ten bits (TF32), so a film's probabilities would depend on the device.
    """
    match backend:
        case "tensorflow":
            tensorflow: Any = importlib.import_module("tensorflow")
            for device in tensorflow.config.list_physical_devices("GPU"):
                tensorflow.config.experimental.set_memory_growth(device, True)  # noqa: FBT003 - TensorFlow's signature
            tensorflow.config.experimental.enable_tensor_float_32_execution(False)  # noqa: FBT003
        case "torch":
            backends = importlib.import_module("torch").backends
            backends.cudnn.allow_tf32 = backends.cuda.matmul.allow_tf32 = False
        case "jax":
            importlib.import_module("jax").config.update("jax_default_matmul_precision", "highest")


def memory_errors() -> tuple[type[Exception], ...]:
    """Return the errors that the backend raises when a batch needs more memory than the device has."""
    match keras().backend.backend():
        case "tensorflow":
            return (importlib.import_module("tensorflow").errors.ResourceExhaustedError,)
        case "torch":
            return (importlib.import_module("torch").OutOfMemoryError,)
        case "jax":  # XLA has one class for all its errors; a batch of one film shows whether memory was the cause.
            return (importlib.import_module("jax").errors.JaxRuntimeError,)
        case _:
            return (MemoryError,)


def gradient(score: Callable[[Any], Any], at: Any) -> Any:  # noqa: ANN401 - tensors of any backend
    """Return d score / d at; Keras 3 has no function for it that works with every backend.

    Args:
        score: a function of Keras operations from a tensor to a scalar.
        at: a tensor of the backend, the point at which the gradient is computed.
    """
    match keras().backend.backend():
        case "tensorflow":
            with importlib.import_module("tensorflow").GradientTape() as tape:
                tape.watch(at)
                value = score(at)
            return tape.gradient(value, at)
        case "torch":
            leaf = at.detach().clone().requires_grad_()
            return importlib.import_module("torch").autograd.grad(score(leaf), leaf)[0]
        case "jax":
            return importlib.import_module("jax").grad(score)(at)
        case other:
            raise NotImplementedError(f"no gradients with the backend {other}")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the system at once; other C libraries are not changed.

    Otherwise the system clears fresh pages for every tensor of every step. TensorFlow makes it worse: when it reads a
    data set from a Python generator, it has glibc return every block above 128 kB. That halves the speed of training
    on a CPU (measured: 16.6 against 31.2 films a second).
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    for option, size_bytes in KEPT_MEMORY.items():
        libc.mallopt(option, size_bytes)


@contextmanager
def _native_messages_logged() -> Iterator[None]:
    """Log what native code writes to stderr as debug messages; TensorFlow has no setting for it.

    It writes a dozen lines about missing GPUs, among which the one line of an error would be lost.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            messages.seek(0)
            logger.debug("%s", messages.read().decode(errors="replace"))
