"""Heat maps show where a finding is."""

import numpy as np
import pytest

from worker.errors import NoHeatMap
from worker.films.phantoms import FINDINGS, SIDE_PIXELS, _body, _healthy, draw
from worker.models import directory
from worker.models.backend import keras
from worker.models.classifier import Classifier
from worker.models.grad_cam import heat_map


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(directory.SHIPPED_PHANTOMS, batch_size=1)


def where_drawn(finding: str, seed: int) -> np.ndarray:
    """Return the pixels in which a finding changed the beam; the body is drawn again from the same seed."""
    random = np.random.default_rng((seed, sorted(FINDINGS).index(finding)))
    thorax = _body(random, SIDE_PIXELS)
    _healthy(thorax)
    change = np.abs(FINDINGS[finding](thorax))
    return change > 0.25 * change.max()


@pytest.mark.parametrize("finding", ["Effusions", "Opacity", "Pneumothorax"])
def test_the_heat_lies_on_the_drawn_finding_more_than_elsewhere(classifier, finding):
    """This is the median of 20 films. Grad-CAM, which averages gradients over the cells, fails for two of three."""
    densities = []
    for seed in range(90_000, 90_020):
        heat = classifier.heat_map(classifier.prepare(draw(finding, seed)), finding)
        rows = np.arange(SIDE_PIXELS) * heat.shape[0] // SIDE_PIXELS
        columns = np.arange(SIDE_PIXELS) * heat.shape[1] // SIDE_PIXELS
        fine, drawn = heat[rows][:, columns], where_drawn(finding, seed)
        densities.append(fine[drawn].mean() / fine.mean())

    assert np.median(densities) > 1.4


def test_a_heat_map_of_pooled_features_is_the_class_activation_map():
    """With global pooling and one dense layer, the map is CAM up to scale, which has a closed form."""
    keras().utils.set_random_seed(1)  # With other random weights, the map may be empty.
    layers = keras().layers
    films = keras().Input((24, 24, 1), dtype="uint8")
    maps = layers.Conv2D(5, 3, activation="relu")(layers.Rescaling(1 / 255)(films))
    pooled = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(maps))
    network = keras().Model(films, layers.Dense(3, activation="softmax")(pooled))
    film = np.random.default_rng(1).integers(0, 256, (1, 24, 24, 1), np.uint8)

    heat = heat_map(network, film, 2)

    features = np.asarray(keras().Model(films, maps)(film))[0]
    closed = np.maximum(features @ np.asarray(network.layers[-1].kernel)[:, 2], 0)
    assert np.allclose(closed / closed.max(), heat, atol=1e-5)


def test_a_film_without_evidence_for_a_finding_has_an_empty_map():
    """Such a map is not scaled up."""
    layers = keras().layers
    films = keras().Input((24, 24, 1), dtype="uint8")
    maps = layers.Conv2D(2, 3, activation="relu", kernel_initializer="ones")(layers.Rescaling(1 / 255)(films))
    pooled = layers.GlobalAveragePooling2D()(maps)
    against = layers.Dense(1, kernel_initializer=keras().initializers.Constant(-1))
    network = keras().Model(films, against(pooled))

    assert 0 == heat_map(network, np.full((1, 24, 24, 1), 9, np.uint8), 0).max()


def test_a_network_without_a_feature_map_is_an_error():
    """A network of dense layers alone has none."""
    layers = keras().layers
    vector = keras().Input((4,))
    network = keras().Model(vector, layers.Dense(2)(vector))

    with pytest.raises(NoHeatMap, match="no feature map"):
        heat_map(network, np.zeros((1, 4), np.uint8), 0)
