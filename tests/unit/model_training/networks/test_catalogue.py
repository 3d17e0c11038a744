"""The networks, compared with the parameter counts in the paper."""

import numpy as np
import pytest

from model_training.networks.catalogue import NETWORKS, trainable_parameters

SIX_CLASSES = 6


@pytest.mark.parametrize(("name", "parameters"), [("v1", 167_750), ("v2", 16_851_398), ("v3", 167_750)])
def test_the_papers_networks_have_the_papers_number_of_parameters(name, parameters):
    """A missing or additional layer would change the count."""
    network = NETWORKS[name]

    assert parameters == trainable_parameters(network.build(network, SIX_CLASSES))


def test_the_phantom_network_is_small():
    """A model of it is shipped with the code."""
    network = NETWORKS["phantom"]

    assert trainable_parameters(network.build(network, SIX_CLASSES)) < 40_000


def test_v3_is_v1_with_a_dropout_after_each_pooling():
    """The paper's final network differs from its first only in dropout."""
    v1, v3 = (NETWORKS[name].build(NETWORKS[name], SIX_CLASSES) for name in ("v1", "v3"))
    kinds = [type(layer).__name__ for layer in v3.layers]

    assert [type(layer).__name__ for layer in v1.layers] == [kind for kind in kinds if kind != "Dropout"]
    assert kinds.count("MaxPooling2D") == 3
    assert all(kinds[index + 1] == "Dropout" for index, kind in enumerate(kinds) if kind == "MaxPooling2D")


def test_ours_learns_from_its_fifth_block_on_and_fits_into_the_repository():
    """The first blocks keep ImageNet's weights, and the model file is below 20 MB."""
    model = NETWORKS["lite0"].build(NETWORKS["lite0"], SIX_CLASSES)

    assert not model.get_layer("block_4_project").trainable
    assert model.get_layer("block_5_expand").trainable
    assert 4 * model.count_params() < 19e6


def test_ours_removes_a_films_brightness_and_contrast_first():
    """A collection's grey levels are not a finding."""
    network = NETWORKS["lite0"]
    model = network.build(network, SIX_CLASSES)
    film = np.random.default_rng(0).integers(60, 120, (1, *network.input_size, 1)).repeat(3, axis=-1)

    plain, other = (np.asarray(model.predict_on_batch(films.astype(np.uint8))) for films in (film, film * 2 + 10))

    assert plain == pytest.approx(other, abs=1e-3)


@pytest.mark.parametrize("name", ["v1", "v3", "lite0", "phantom"])
def test_a_network_takes_bytes_and_returns_probabilities(name):
    """The network divides by 255 itself."""
    network = NETWORKS[name]
    films = np.full((2, *network.input_size, 3), 200, np.uint8)

    probabilities = np.asarray(network.build(network, 4).predict_on_batch(films))

    assert (2, 4) == probabilities.shape
    assert probabilities.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
