"""What a network answers, and how it is kept."""

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
    """Noise, and a file that is none."""
    pixels = np.random.default_rng(3).integers(0, 256, (FILMS, 64, 64), dtype=np.uint8)
    names = tuple(f"test/A/{index}.png" for index in range(FILMS))
    digests = tuple(f"{index:064x}" for index in range(FILMS))
    return Films(pixels, np.arange(FILMS) % 3, names, (LeftOut("test/A/x.txt", "corrupt"),), digests)


def test_one_pass_gives_the_probabilities_and_what_the_last_layer_made_them_from(network, films):
    """The weights of the last layer, applied to the features, give the probabilities again."""
    predicted = predict(network, films, batch_size=2)

    weights, bias = (np.asarray(part) for part in network.layers[-1].get_weights())
    scores = np.exp(predicted.features @ weights + bias)
    assert (FILMS, 32) == predicted.features.shape
    np.testing.assert_allclose(scores / scores.sum(axis=1, keepdims=True), predicted.probabilities, atol=1e-5)
    three_channels = np.repeat(films.pixels[..., None], 3, axis=-1)
    np.testing.assert_allclose(np.asarray(network.predict_on_batch(three_channels)), predicted.probabilities, atol=1e-6)
    assert films.left_out == predicted.left_out


def test_no_film_gives_no_answers(network, films):
    """Arrays of the right width."""
    predicted = predict(network, Films(films.pixels[:0], films.labels[:0], ()), batch_size=2)

    assert ((0, 3), (0, 32)) == (predicted.probabilities.shape, predicted.features.shape)


def test_answers_are_kept_and_read_again(network, films, tmp_path):
    """Names, labels, hashes and probabilities to the bit; features to half precision."""
    predicted = predict(network, films, batch_size=2)
    save(
        tmp_path, {"test": predicted, "external": Predictions(("ü/é.png",), np.array([1]), np.ones((1, 3), np.float32))}
    )

    found = load(tmp_path)

    test = found["test"]
    assert ["test", "external"] == list(found)
    assert (predicted.names, predicted.sha256) == (test.names, test.sha256)
    np.testing.assert_array_equal(predicted.labels, test.labels)
    np.testing.assert_array_equal(predicted.probabilities, test.probabilities)
    np.testing.assert_allclose(predicted.features, test.features, rtol=1e-3, atol=1e-3)
    assert (("ü/é.png",), None) == (found["external"].names, found["external"].features)


def test_the_same_answers_are_kept_as_the_same_bytes(films, tmp_path):
    """A run that is repeated keeps the same file."""
    predicted = Predictions.of(films, np.ones((FILMS, 3), np.float32))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, {"test": predicted})

    assert (tmp_path / "one" / PREDICTIONS_FILE).read_bytes() == (tmp_path / "two" / PREDICTIONS_FILE).read_bytes()


def test_a_run_that_kept_nothing_has_no_answers(tmp_path):
    """Older ones did not."""
    assert {} == load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_file_is_said_to_be_one(tmp_path, content):
    """One error, whatever the bytes."""
    (tmp_path / PREDICTIONS_FILE).write_bytes(content)

    with pytest.raises(ValueError, match="no readable predictions"):
        load(tmp_path)


def test_a_file_of_somebody_elses_arrays_is_refused(tmp_path):
    """It is an archive, and not ours."""
    np.savez(tmp_path / predictions.PREDICTIONS_FILE, stranger=np.zeros(3))

    with pytest.raises(ValueError, match="no readable predictions"):
        load(tmp_path)
