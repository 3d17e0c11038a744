"""Batches: the order in which films reach a network, also through Keras."""

import mmap
from types import SimpleNamespace

import numpy as np
import pytest

from model_training.data.films import Films
from model_training.training import batches as batches_module
from model_training.training.batches import Batches
from worker.models import backend

N = 10


@pytest.fixture
def films():
    """Films in which every pixel is the number of the film."""
    pixels = np.arange(N, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    return Films(pixels, np.arange(N) % 2, tuple(map(str, range(N))))


WEIGHTS = np.arange(N, dtype=np.float32)


def order(batches):
    """Return the films' numbers in the order of an epoch."""
    return [int(number) for index in range(len(batches)) for number in batches[index][0][:, 0, 0, 0]]


def test_film_label_and_weight_stay_together(films):
    """A shuffled batch keeps them in one order."""
    batches = Batches(films, WEIGHTS, 4, seed=1)

    pixels, labels, weights = batches[1]

    assert (4, 8, 8, 1) == pixels.shape
    assert np.uint8 == pixels.dtype
    assert (pixels[:, 0, 0, 0] % 2).tolist() == labels.tolist()
    assert pixels[:, 0, 0, 0].tolist() == weights.tolist()


def test_an_epoch_has_every_film_once_and_its_last_batch_may_be_short(films):
    """No film is dropped."""
    batches = Batches(films, WEIGHTS, 4, seed=1)

    assert 3 == len(batches)
    assert 2 == len(batches[2][1])
    assert list(range(N)) == sorted(order(batches))


def test_the_order_depends_on_seed_and_epoch_alone(films):
    """A run that is resumed at epoch 5 sees the same batches as an uninterrupted one."""
    uninterrupted, resumed, other = (Batches(films, WEIGHTS, 4, seed=seed) for seed in (1, 1, 2))
    orders = []
    for epoch in range(6):
        uninterrupted.start(epoch)
        orders.append(order(uninterrupted))

    resumed.start(5)
    other.start(5)

    assert orders[5] == order(resumed) != order(other)
    assert 6 == len(set(map(tuple, orders)))


def test_augmentation_differs_between_epochs_and_repeats_between_runs(films):
    """It depends on seed, epoch and film, not on the batch size or on where a run was resumed."""

    def draw(film, rng):
        return np.full_like(film, rng.integers(256))

    small, large, plain = (Batches(films, WEIGHTS, size, seed=1, augment=draw) for size in (3, 10, 10))
    drawn = []
    for epoch in (0, 1, 1):
        small.start(epoch)
        large.start(epoch)
        drawn.append(order(large))
        assert order(small) == order(large)

    assert drawn[0] != drawn[1] == drawn[2]
    assert order(plain) == drawn[0]


@pytest.mark.parametrize("fetched", [1, 10**6])
def test_auxiliary_labels_stay_with_their_films(films, monkeypatch, fetched):
    """They are the labels of the second head, however many batches are fetched at once."""
    monkeypatch.setattr(batches_module, "FETCHED_BYTES", fetched)
    auxiliary = np.arange(N, dtype=np.int8)[:, None] * np.array([[1, 2]], np.int8)
    batches = Batches(films, WEIGHTS, 4, seed=1, auxiliary=auxiliary)

    dataset = list(batches_module._for_tensorflow(batches))

    assert 3 == len(dataset)
    for pixels, labels, weights in dataset:
        numbers = np.asarray(pixels)[:, 0, 0, 0]
        assert (numbers % 2).tolist() == np.asarray(labels["findings"]).tolist()
        assert np.outer(numbers, [1, 2]).tolist() == np.asarray(labels["other_findings"]).tolist()
        assert WEIGHTS[numbers].tolist() == np.asarray(weights["findings"]).tolist()


def test_mapped_films_do_not_stay_in_memory(films, tmp_path, monkeypatch):
    """Their pages are released from time to time, and can be read again."""
    np.save(tmp_path / "films.npy", np.repeat(films.pixels, 64, axis=1))  # 4 KiB a film
    mapped = np.load(tmp_path / "films.npy", mmap_mode="r")
    monkeypatch.setattr(batches_module, "PAGES_RELEASED_AFTER_BYTES", 5 * mapped[0].nbytes)
    released = []
    batches = Batches(Films(mapped[:], films.labels, films.names), WEIGHTS, 1, seed=1)
    batches._mapping = SimpleNamespace(madvise=released.append) if batches._mapping is mapped.base else None

    assert list(range(N)) == sorted(order(batches))
    assert [mmap.MADV_DONTNEED] * 2 == released
    assert Batches(films, WEIGHTS, 1, seed=1)._mapping is None


def linear_model():
    """Return a very small compiled Keras model."""
    keras = backend.keras()
    inputs = keras.Input((8, 8, 1), dtype="uint8")
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=[])
    return model


class RecordingModel:
    """Records the films of each epoch that Keras would read from a data set."""

    def __init__(self):
        self.films = []

    def fit(self, data, *, initial_epoch, epochs, callbacks, shuffle, **_):
        """Go through the epochs as Keras does, which reads the first batch beforehand."""
        assert not shuffle
        next(iter(data))
        for epoch in range(initial_epoch, epochs):
            callbacks[0].on_epoch_begin(epoch, {})
            batches = [data[index] for index in range(len(data))] if hasattr(data, "num_batches") else list(data)
            self.films.append([np.asarray(films)[:, 0, 0, 0].tolist() for films, _, _ in batches])


@pytest.mark.parametrize("fetched", [1, 3 * 4 * 8 * 8, 10**6], ids=["by the batch", "three at once", "all at once"])
@pytest.mark.parametrize("engine", ["tensorflow", "another"])
def test_each_epoch_has_its_own_order_whatever_is_fetched_at_once(films, monkeypatch, engine, fetched):
    """So has the epoch at which a run is resumed; batches that are read beforehand change nothing."""
    if engine == "another":
        monkeypatch.setattr(batches_module, "for_keras", batches_module._dataset_class())
    monkeypatch.setattr(batches_module, "FETCHED_BYTES", fetched)
    model = RecordingModel()

    batches_module.fit(model, Batches(films, WEIGHTS, 4, seed=1), epochs=5, initial_epoch=3)

    for epoch, drawn in zip((3, 4), model.films, strict=True):
        expected = Batches(films, WEIGHTS, 4, seed=1)
        expected.start(epoch)
        assert [expected[number][0][:, 0, 0, 0].tolist() for number in range(len(expected))] == drawn


def test_keras_goes_through_every_epoch(films):
    """Keras does not warn that the data ran out; warnings are errors here."""
    history = batches_module.fit(linear_model(), Batches(films, WEIGHTS, 4, seed=1), epochs=5, initial_epoch=2)

    assert [2, 3, 4] == history.epoch
    assert {"loss"} == history.history.keys()


def test_one_seed_gives_one_network(films):
    """This holds although a thread of its own feeds the batches."""
    weights = []
    for _ in range(2):
        backend.keras().utils.set_random_seed(0)
        model = linear_model()
        batches_module.fit(model, Batches(films, WEIGHTS, 4, seed=1), epochs=3)
        weights.append(model.get_weights())

    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
