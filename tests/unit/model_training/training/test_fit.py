"""Training on films that any network can learn."""

import os
import time
from dataclasses import replace

import numpy as np
import pytest

from model_training.data.dataset import read
from model_training.networks.catalogue import NETWORKS
from model_training.training import checkpoint, fit, optimization
from model_training.training.best_epoch import BestEpoch
from model_training.training.class_weights import sample_weights
from model_training.training.predictions import predict

PHANTOM = NETWORKS["phantom"]


@pytest.fixture(scope="module")
def data(shared_data):
    """The drawn films."""
    return read(shared_data, PHANTOM.input_size)


@pytest.fixture(scope="module")
def fitted(data, progress):
    """A network that was trained on the drawn films."""
    return fit.fit(PHANTOM, data, replace(PHANTOM.hyperparameters, epochs=8, seed=7), progress)


def test_a_network_learns_two_simple_classes(fitted, data):
    """It separates bright left from bright right on films of the test split."""
    test = data.splits["test"]

    probabilities = predict(fitted.network, test, batch_size=3).probabilities

    assert test.labels.tolist() == probabilities.argmax(axis=1).tolist()


def test_a_mirror_image_gets_the_other_class(fitted, data):
    """The augmentation keeps left and right apart, because the side on which the heart lies matters."""
    test = data.splits["test"]

    probabilities = predict(fitted.network, replace(test, pixels=test.pixels[:, :, ::-1]), 8).probabilities

    assert (1 - test.labels).tolist() == probabilities.argmax(axis=1).tolist()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data, progress):
    """A training can be repeated on the same machine."""
    hyperparameters = replace(PHANTOM.hyperparameters, epochs=2, seed=11)

    first, again, other = (
        fit.fit(PHANTOM, data, replace(hyperparameters, seed=seed), progress).network.get_weights()
        for seed in (11, 11, 12)
    )

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_network_has_the_weights_of_the_best_epoch_on_validation(fitted, data):
    """The network is that of the best epoch, not of the last, and has the recorded loss."""
    losses = [entry["val_calibrated_loss"] for entry in fitted.history]
    best = fitted.history[fitted.kept_epoch - 1]
    validation = data.splits["validation"]

    probabilities = predict(fitted.network, validation, batch_size=8).probabilities

    right = probabilities[np.arange(len(validation)), validation.labels]
    assert list(range(1, 9)) == [entry["epoch"] for entry in fitted.history]
    assert losses.index(min(losses)) + 1 == fitted.kept_epoch
    assert best["val_loss"] == pytest.approx(-np.log(right).mean(), abs=1e-4)
    assert best["val_accuracy"] == pytest.approx((probabilities.argmax(axis=1) == validation.labels).mean())


def test_a_training_that_diverges_raises(data, progress):
    """If no loss is a number, there is no best epoch."""
    hyperparameters = replace(PHANTOM.hyperparameters, epochs=2, optimizer="sgd", learning_rate=1e38)

    with pytest.raises(FloatingPointError, match="diverged"):
        fit.fit(PHANTOM, data, hyperparameters, progress)


def test_a_training_that_diverges_late_keeps_the_best_epoch_before(data, progress, monkeypatch):
    """A report cannot have a loss that is not a number, so that the candidate would be lost."""
    validate = BestEpoch._validate
    monkeypatch.setattr(
        BestEpoch, "_validate", lambda self: validate(self) | ({"val_loss": np.nan} if self.history else {})
    )

    fitted = fit.fit(PHANTOM, data, replace(PHANTOM.hyperparameters, epochs=3), progress)

    assert (1, 1) == (fitted.kept_epoch, len(fitted.history))


class Killed(BaseException):
    """Stands for the end of a process."""


class Killer:
    """A progress that kills the run after an epoch."""

    def __init__(self, after: int) -> None:
        self.after, self.epochs = after, []

    def on_film(self, done, total):
        """Continue."""

    def on_step(self):
        """Continue."""

    def on_epoch(self, done, planned, logs):
        self.epochs.append(done)
        if done > self.after:
            raise Killed


AVERAGED = {"average_momentum": 0.9, "optimizer": "adamw", "schedule": "cosine", "weight_decay": 0.001}


@pytest.mark.parametrize("changes", [{}, AVERAGED])
def test_a_killed_run_gives_the_same_network_as_an_uninterrupted_one(data, progress, tmp_path, changes):
    """Weights, curves and the best epoch are equal."""
    hyperparameters, path = replace(PHANTOM.hyperparameters, epochs=4, seed=3, **changes), tmp_path / "state.npz"
    with pytest.raises(Killed):
        fit.fit(PHANTOM, data, hyperparameters, Killer(after=2), path)
    second = Killer(after=9)

    resumed = fit.fit(PHANTOM, data, hyperparameters, second, path)
    whole = fit.fit(PHANTOM, data, hyperparameters, progress)

    assert [2, 3, 4] == second.epochs
    assert whole.history == resumed.history
    assert whole.kept_epoch == resumed.kept_epoch
    for a, b in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_damaged_checkpoint_is_ignored(data, progress, tmp_path):
    """The run starts from the beginning."""
    hyperparameters, path = replace(PHANTOM.hyperparameters, epochs=1), tmp_path / "state.npz"
    path.write_bytes(b"PK half a file")

    assert 1 == len(fit.fit(PHANTOM, data, hyperparameters, progress, path).history)


def test_old_checkpoints_are_removed(tmp_path):
    """A recent checkpoint stays."""
    for name, age_seconds in (("old.npz", checkpoint.KEPT_SECONDS + 60), ("new.npz", 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age_seconds,) * 2)

    checkpoint.remove_old(tmp_path)

    assert ["new.npz"] == [path.name for path in tmp_path.iterdir()]


def test_training_stops_when_validation_does_not_improve(data, progress):
    """With a learning rate of 0 every epoch has the same loss, so that the first one is the best."""
    hyperparameters = replace(PHANTOM.hyperparameters, epochs=9, learning_rate=0.0, patience=2)

    fitted = fit.fit(PHANTOM, data, hyperparameters, progress)

    assert 3 == len(fitted.history)
    assert 1 == fitted.kept_epoch


def test_the_cosine_schedule_warms_up_and_ends_near_zero(data, progress):
    """The learning rate is recorded with the other curves."""
    hyperparameters = replace(PHANTOM.hyperparameters, epochs=5, learning_rate=0.01, schedule="cosine")

    rates = [entry["learning_rate"] for entry in fit.fit(PHANTOM, data, hyperparameters, progress).history]

    assert max(rates) <= 0.01
    assert rates[0] > rates[-1]
    assert rates[-1] == pytest.approx(0.0001, rel=0.2)


def test_mixed_precision_gives_a_network_that_computes_in_float32(data, progress):
    """The published network runs on any device."""
    hyperparameters = replace(PHANTOM.hyperparameters, epochs=1, precision="mixed_bfloat16")

    network = fit.fit(PHANTOM, data, hyperparameters, progress).network

    assert {"float32"} == {layer.compute_dtype for layer in network.layers if layer.name != "films"}
    assert "float32" == fit.backend.keras().config.dtype_policy().name


def test_auxiliary_labels_are_learned_where_they_are_stated(data, progress):
    """The auxiliary head changes the features; the published network has one head."""
    films = data.splits["train"]
    manifest = {
        name: {"original_labels": "Effusion" if label else "No Finding"}
        for name, label in zip(films.names * 2, films.labels.tolist() * 2, strict=True)
    }
    many = replace(
        films, names=films.names * 2, labels=np.tile(films.labels, 2), pixels=np.tile(films.pixels, (2, 1, 1))
    )
    labelled = replace(data, splits={**data.splits, "train": many}, manifest=manifest)
    hyperparameters = replace(PHANTOM.hyperparameters, epochs=2, seed=1, auxiliary_labels_weight=1.0)

    with_both = fit.fit(PHANTOM, labelled, hyperparameters, progress)
    with_one = fit.fit(PHANTOM, labelled, replace(hyperparameters, auxiliary_labels_weight=0.0), progress)

    assert len(with_one.network.outputs) == len(with_both.network.outputs) == 1
    assert with_both.history[0].keys() == with_one.history[0].keys()
    assert with_both.history != with_one.history


def test_unknown_findings_add_nothing_to_the_loss():
    """Only stated findings are learned."""
    targets = np.array([[1, 0, -1], [-1, -1, -1]], np.float32)
    probabilities = np.array([[0.5, 0.5, 0.001], [0.9, 0.9, 0.9]], np.float32)

    loss = np.asarray(
        optimization.known_crossentropy(fit.backend.keras().ops.convert_to_tensor(targets), probabilities)
    )

    assert loss == pytest.approx([np.log(2), 0])


@pytest.mark.parametrize(("power", "expected"), [(1.0, [2 / 3, 2 / 3, 2 / 3, 2]), (0.0, [1, 1, 1, 1])])
def test_weights_count_classes_alike_or_films_alike(power, expected):
    """With power 1, three films of one class weigh as much as one film of the other."""
    assert expected == pytest.approx(sample_weights(np.array([0, 0, 0, 1]), power))
