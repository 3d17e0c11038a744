"""A network's predictions, and how they are saved and loaded."""

import numpy as np
import pytest

from model_training.data.class_folders import LeftOut
from model_training.data.films import Films
from model_training.networks.catalogue import NETWORKS
from model_training.training import predictions
from model_training.training.predictions import PREDICTIONS_FILE, Predictions, load, predict, save

FILMS = 5


@pytest.fixture(scope="module")
def network():
    """A small untrained network."""
    description = NETWORKS["phantom"]
    return description.build(description, 3)


@pytest.fixture
def films():
    """Films of noise, and a file that is not a film."""
    pixels = np.random.default_rng(3).integers(0, 256, (FILMS, 64, 64), dtype=np.uint8)
    names = tuple(f"test/A/{index}.png" for index in range(FILMS))
    digests = tuple(f"{index:064x}" for index in range(FILMS))
    return Films(pixels, np.arange(FILMS) % 3, names, (LeftOut("test/A/x.txt", "corrupt"),), digests)


def test_one_pass_gives_probabilities_and_the_features_of_the_last_layer(network, films):
    """The last layer's weights, applied to the features, give the probabilities again."""
    predicted = predict(network, films, batch_size=2)

    weights, bias = (np.asarray(part) for part in network.layers[-1].get_weights())
    scores = np.exp(predicted.features @ weights + bias)
    assert (FILMS, 32) == predicted.features.shape
    np.testing.assert_allclose(scores / scores.sum(axis=1, keepdims=True), predicted.probabilities, atol=1e-5)
    three_channels = np.repeat(films.pixels[..., None], 3, axis=-1)
    np.testing.assert_allclose(np.asarray(network.predict_on_batch(three_channels)), predicted.probabilities, atol=1e-6)
    assert films.left_out == predicted.left_out


def test_no_films_give_empty_predictions(network, films):
    """The arrays have the right width."""
    predicted = predict(network, Films(films.pixels[:0], films.labels[:0], ()), batch_size=2)

    assert ((0, 3), (0, 32)) == (predicted.probabilities.shape, predicted.features.shape)


def test_predictions_are_saved_and_loaded(network, films, tmp_path):
    """Names, labels, hashes and probabilities are equal to the bit, features to half precision."""
    predicted = predict(network, films, batch_size=2)
    save(
        tmp_path, {"test": predicted, "external": Predictions(("ü/é.png",), np.array([1]), np.ones((1, 3), np.float32))}
    )

    loaded = load(tmp_path)

    test = loaded["test"]
    assert ["test", "external"] == list(loaded)
    assert (predicted.names, predicted.sha256) == (test.names, test.sha256)
    np.testing.assert_array_equal(predicted.labels, test.labels)
    np.testing.assert_array_equal(predicted.probabilities, test.probabilities)
    np.testing.assert_allclose(predicted.features, test.features, rtol=1e-3, atol=1e-3)
    assert (("ü/é.png",), None) == (loaded["external"].names, loaded["external"].features)


def test_equal_predictions_are_saved_as_equal_bytes(films, tmp_path):
    """A repeated run saves the same file."""
    predicted = Predictions.of(films, np.ones((FILMS, 3), np.float32))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, {"test": predicted})

    assert (tmp_path / "one" / PREDICTIONS_FILE).read_bytes() == (tmp_path / "two" / PREDICTIONS_FILE).read_bytes()


def test_a_run_without_the_file_has_no_predictions(tmp_path):
    """Older versions saved none."""
    assert {} == load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_file_raises(tmp_path, content):
    """There is one kind of error for all damage."""
    (tmp_path / PREDICTIONS_FILE).write_bytes(content)

    with pytest.raises(ValueError, match="no readable predictions"):
        load(tmp_path)


def test_an_archive_of_other_arrays_raises(tmp_path):
    """It is readable, but `save` did not write it."""
    np.savez(tmp_path / predictions.PREDICTIONS_FILE, stranger=np.zeros(3))

    with pytest.raises(ValueError, match="no readable predictions"):
        load(tmp_path)
