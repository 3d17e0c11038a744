"""Training on films that any network can learn."""

from dataclasses import replace

import numpy as np
import pytest

from model_training import training
from model_training.dataset import read
from model_training.networks import NETWORKS
from model_training.training import Knobs

PHANTOM = NETWORKS["phantom"]


@pytest.fixture(scope="module")
def data(shared_data):
    """The drawn films."""
    return read(shared_data, PHANTOM.input_size)


@pytest.fixture(scope="module")
def fitted(data, watcher):
    """A network that was trained on them."""
    return training.fit(PHANTOM, data, Knobs.of(PHANTOM, epochs=8, seed=7), watcher)


def test_it_learns_what_can_be_learned(fitted, data):
    """Bright left and bright right are told apart on films that were not trained on."""
    test = data.splits["test"]

    answers = training.predict(fitted.network, test, batch_size=3)

    assert test.labels.tolist() == answers.argmax(axis=1).tolist()


def test_a_mirror_image_is_not_taken_for_the_same(fitted, data):
    """The augmentation keeps left and right apart: the side on which the heart lies matters."""
    test = data.splits["test"]

    answers = training.predict(fitted.network, replace(test, pixels=test.pixels[:, :, ::-1]), batch_size=8)

    assert (1 - test.labels).tolist() == answers.argmax(axis=1).tolist()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data, watcher):
    """A run can be repeated on the same machine."""
    knobs = Knobs.of(PHANTOM, epochs=2, seed=11)

    first, again, other = (
        training.fit(PHANTOM, data, replace(knobs, seed=seed), watcher).network.get_weights() for seed in (11, 11, 12)
    )

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_weights_of_the_best_epoch_on_validation_are_kept(fitted, data):
    """The last epoch has no privilege, and the kept network gives the kept loss."""
    losses = [entry["val_loss"] for entry in fitted.history]
    validation = data.splits["validation"]

    answers = training.predict(fitted.network, validation, batch_size=8)

    right = answers[np.arange(len(validation)), validation.labels]
    assert list(range(1, 9)) == [entry["epoch"] for entry in fitted.history]
    assert losses.index(min(losses)) + 1 == fitted.kept_epoch
    assert min(losses) == pytest.approx(-np.log(right).mean(), abs=1e-4)


def test_an_older_epoch_wins_over_a_worse_last_one(watcher):
    """The weights are those of the moment, not of the end."""

    class Counting:
        weights = 0

        def get_weights(self):
            return self.weights

        def set_weights(self, weights):
            self.weights = weights

    network = Counting()
    keeper = training._Keeper(network, 3, watcher)
    for epoch, loss in enumerate([0.9, 0.4, 0.6]):
        network.weights = [epoch]
        keeper.on_epoch_end(epoch, {"val_loss": loss})

    keeper.restore()

    assert [1] == network.weights
    assert 2 == keeper.kept_epoch


def test_a_training_that_diverged_says_so(watcher):
    """A loss that is no number chooses nothing."""
    keeper = training._Keeper(None, 1, watcher)
    keeper.on_epoch_end(0, {"val_loss": float("nan")})

    with pytest.raises(FloatingPointError, match="diverged"):
        keeper.restore()


@pytest.mark.parametrize(("power", "expected"), [(1.0, [2 / 3, 2 / 3, 2 / 3, 2]), (0.0, [1, 1, 1, 1])])
def test_weights_make_classes_count_alike_or_films(power, expected):
    """Three films of one class weigh as much as one of the other."""
    assert expected == pytest.approx(training.sample_weights(np.array([0, 0, 0, 1]), power))
