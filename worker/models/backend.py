"""Keras and its backend, imported once, late and quietly; nothing else of the project imports Keras by name.

Late, because the import costs seconds and may take a GPU: that is for the child that computes.
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

#: For mallopt(3): M_MMAP_THRESHOLD, of which glibc takes no more; M_TRIM_THRESHOLD; M_TOP_PAD.
KEPT_MEMORY = {-3: 32 * 2**20, -1: 2**31 - 1, -2: 64 * 2**20}


@cache
def keras() -> Any:  # noqa: ANN401 - Keras publishes no types
    """Return the module `keras` with its backend ready to compute."""
    with _native_messages_logged():
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take most of a GPU at first use.
        module = importlib.import_module("keras")
        _share_the_device_and_round_as_processors_do(module.backend.backend())
        devices()  # The backend looks for devices, and talks about it, at first use.
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
    """Take a GPU's memory as it is needed, and multiply float32 as float32; later is too late.

    Every backend would round factors to ten bits (TF32), and a film's probabilities would depend on the device.
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
    """Return what the backend raises when a batch needs more memory than the device has."""
    match keras().backend.backend():
        case "tensorflow":
            return (importlib.import_module("tensorflow").errors.ResourceExhaustedError,)
        case "torch":
            return (importlib.import_module("torch").OutOfMemoryError,)
        case "jax":  # One class for whatever XLA says; a batch of one film tells the others apart.
            return (importlib.import_module("jax").errors.JaxRuntimeError,)
        case _:
            return (MemoryError,)


def gradient(score: Callable[[Any], Any], at: Any) -> Any:  # noqa: ANN401 - tensors of whatever backend
    """Return d score / d at: the one thing for which Keras 3 has no word of its own.

    Args:
        score: a function of Keras operations from a tensor to a scalar.
        at: where the gradient is wanted, a tensor of the backend.
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
