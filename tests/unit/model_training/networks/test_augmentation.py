"""How augmentation changes a film."""

import numpy as np
import pytest

from model_training.networks.augmentation import Augmentation
from model_training.networks.catalogue import NETWORKS, PAPER_AUGMENTATION, STRONG_AUGMENTATION


@pytest.fixture
def film():
    return np.random.default_rng(3).integers(0, 256, (80, 70), np.uint8)


def test_no_amount_leaves_a_film_as_it_is(film):
    assert (Augmentation().apply(film, np.random.default_rng(0)) == film).all()


@pytest.mark.parametrize("augmentation", [PAPER_AUGMENTATION, STRONG_AUGMENTATION])
def test_a_changed_film_has_other_pixels_of_the_same_kind(film, augmentation):
    changed = augmentation.apply(film, np.random.default_rng(1))
    assert changed.shape == film.shape
    assert changed.dtype == np.uint8
    assert (changed != film).mean() > 0.5


def test_the_same_random_state_gives_the_same_film(film):
    first, second = (STRONG_AUGMENTATION.apply(film, np.random.default_rng(5)) for _ in range(2))
    other = STRONG_AUGMENTATION.apply(film, np.random.default_rng(6))
    assert (first == second).all()
    assert (first != other).any()


def test_a_shift_moves_the_film_by_no_more_than_was_allowed():
    film = np.zeros((100, 100), np.uint8)
    film[50, 50] = 255
    for seed in range(20):
        moved = Augmentation(shift=0.1).apply(film, np.random.default_rng(seed)).astype(int)
        row, column = np.unravel_index(moved.argmax(), moved.shape)
        assert abs(row - 50) <= 11
        assert abs(column - 50) <= 11


def test_no_network_learns_from_mirror_images():
    left = np.zeros((100, 100), np.uint8)
    left[:, :30] = 200
    for network in NETWORKS.values():
        for seed in range(10):
            changed = network.hyperparameters.augmentation.apply(left, np.random.default_rng(seed)).astype(int)
            assert changed[:, :50].sum() > changed[:, 50:].sum()


def test_grey_levels_change_without_the_shape(film):
    changed = Augmentation(gamma=0.4, contrast=0.2, brightness=0.1).apply(film, np.random.default_rng(2))
    order = film.ravel().argsort(kind="stable")
    assert (np.diff(changed.ravel()[order].astype(int)) >= 0).all()
