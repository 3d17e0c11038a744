"""Networks on a device with too little memory, and cards that do not fit their network."""

import json
import shutil

import numpy as np
import pytest

from worker.errors import ModelUnavailable
from worker.models import directory
from worker.models.backend import gradient, keras, memory_errors
from worker.models.classifier import Classifier


class SmallDevice:
    """A network on a device whose memory holds a number of films; it records the sizes of batches."""

    def __init__(self, network, films: int) -> None:
        self.network, self.films, self.asked = network, films, []

    def predict_on_batch(self, batch):
        self.asked.append(len(batch))
        if len(batch) > self.films:
            (error,) = memory_errors()
            raise error(None, None, "OOM when allocating tensor")
        return self.network.predict_on_batch(batch)


@pytest.fixture
def classifier():
    return Classifier.load(directory.SHIPPED_PHANTOMS, batch_size=32)


@pytest.fixture
def films(classifier):
    return np.random.default_rng(1).integers(0, 256, (40, *classifier.card.input_size), np.uint8)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"input_size": [100_000, 100_000]}, "no readable card.json"),
        ({"channels": 10**9}, "no readable card.json"),
        ({"classes": []}, "no readable card.json"),
        ({"classes": ["A", "A", "B", "C", "D", "E"]}, "no readable card.json"),
        ({"classes": ["A", "B"]}, "the network takes"),
        ({"input_size": [65, 64]}, "the network takes"),
        ({"preprocessing": "unheard of"}, "was trained on unheard of"),
    ],
)
def test_a_senseless_card_makes_its_model_unavailable(tmp_path, changes, complaint):
    """Such a card must not use up memory or end a process."""
    shutil.copytree(directory.SHIPPED_PHANTOMS, tmp_path / "model")
    path = tmp_path / "model" / directory.CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    with pytest.raises(ModelUnavailable, match=complaint):
        Classifier.load(tmp_path / "model")


def test_a_batch_that_is_too_big_is_halved_until_it_fits_and_every_film_is_scored(classifier, films):
    """The order and the probabilities stay the same, and the size that worked is remembered."""
    expected = classifier.predict(films)
    classifier._network = device = SmallDevice(classifier._network, 10)

    found = classifier.predict(films)
    first, device.asked = device.asked, []
    classifier.predict(films)

    assert np.allclose(expected, found, atol=1e-6)
    assert [32, 16, 8] == first[:3]
    assert {8} == set(device.asked)


def test_a_device_too_small_for_one_film_ends_the_process_and_not_the_queue(classifier, films):
    """The task ends its child process when it gets a MemoryError."""
    classifier._network = SmallDevice(classifier._network, 0)

    with pytest.raises(MemoryError, match="one film"):
        classifier.predict(films)


def test_other_errors_of_the_network_are_raised(classifier, films):
    """Halving the batch would hide a fault."""
    with pytest.raises(ValueError, match="shape"):
        classifier.predict(films[:, :10])


def test_gradients_are_those_of_calculus():
    """d(sum of squares)/dx is 2x."""
    ops = keras().ops

    found = gradient(lambda x: ops.sum(x * x), ops.convert_to_tensor([1.0, -2.0, 3.0]))

    assert [2, -4, 6] == ops.convert_to_numpy(found).tolist()


def test_float32_is_multiplied_as_float32_whatever_the_device():
    """Rounded to TF32, a GPU's probabilities differ from the processor's by up to 0.003."""
    import tensorflow as tf

    keras()

    assert not tf.config.experimental.tensor_float_32_execution_enabled()
