"""The order in which films reach a network, and that Keras keeps to it."""

import mmap
from types import SimpleNamespace

import numpy as np
import pytest

from model_training.data.films import Films
from model_training.training import batches as feeding
from model_training.training.batches import Batches
from worker.models import backend

N = 10


@pytest.fixture
def films():
    """Films whose every pixel is their number."""
    pixels = np.arange(N, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    return Films(pixels, np.arange(N) % 2, tuple(map(str, range(N))))


WEIGHTS = np.arange(N, dtype=np.float32)


def order(batches):
    """Return the films' numbers in the order of an epoch."""
    return [int(number) for index in range(len(batches)) for number in batches[index][0][:, 0, 0, 0]]


def test_a_batch_keeps_film_label_and_weight_together(films):
    """Shuffled or not."""
    batches = Batches(films, WEIGHTS, 4, seed=1)

    pixels, labels, weights = batches[1]

    assert (4, 8, 8, 1) == pixels.shape
    assert np.uint8 == pixels.dtype
    assert (pixels[:, 0, 0, 0] % 2).tolist() == labels.tolist()
    assert pixels[:, 0, 0, 0].tolist() == weights.tolist()


def test_every_film_comes_once_an_epoch_and_the_last_batch_may_be_short(films):
    """None is dropped."""
    batches = Batches(films, WEIGHTS, 4, seed=1)

    assert 3 == len(batches)
    assert 2 == len(batches[2][1])
    assert list(range(N)) == sorted(order(batches))


def test_the_order_follows_from_seed_and_epoch_alone(films):
    """A run that is taken up at epoch 5 sees what the first one saw."""
    through, taken_up, other = (Batches(films, WEIGHTS, 4, seed=seed) for seed in (1, 1, 2))
    orders = []
    for epoch in range(6):
        through.start(epoch)
        orders.append(order(through))

    taken_up.start(5)
    other.start(5)

    assert orders[5] == order(taken_up) != order(other)
    assert 6 == len(set(map(tuple, orders)))


def test_a_film_is_deformed_anew_in_each_epoch_and_alike_in_every_run(films):
    """By seed, epoch and film: neither the batch size nor where a run was taken up matters."""

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
def test_further_findings_travel_with_their_films(films, monkeypatch, fetched):
    """As a second output's labels, whatever is fetched at once."""
    monkeypatch.setattr(feeding, "FETCHED_BYTES", fetched)
    further = np.arange(N, dtype=np.int8)[:, None] * np.array([[1, 2]], np.int8)
    batches = Batches(films, WEIGHTS, 4, seed=1, further=further)

    given = list(feeding._for_tensorflow(batches))

    assert 3 == len(given)
    for pixels, labels, weights in given:
        numbers = np.asarray(pixels)[:, 0, 0, 0]
        assert (numbers % 2).tolist() == np.asarray(labels["findings"]).tolist()
        assert np.outer(numbers, [1, 2]).tolist() == np.asarray(labels["further"]).tolist()
        assert WEIGHTS[numbers].tolist() == np.asarray(weights["findings"]).tolist()


def test_mapped_films_do_not_stay_in_memory(films, tmp_path, monkeypatch):
    """Their pages are given back now and then, and read again without a difference."""
    np.save(tmp_path / "films.npy", np.repeat(films.pixels, 64, axis=1))  # 4 KiB a film
    mapped = np.load(tmp_path / "films.npy", mmap_mode="r")
    monkeypatch.setattr(feeding, "PAGES_GIVEN_BACK_AFTER_BYTES", 5 * mapped[0].nbytes)
    given_back = []
    batches = Batches(Films(mapped[:], films.labels, films.names), WEIGHTS, 1, seed=1)
    batches._mapping = SimpleNamespace(madvise=given_back.append) if batches._mapping is mapped.base else None

    assert list(range(N)) == sorted(order(batches))
    assert [mmap.MADV_DONTNEED] * 2 == given_back
    assert Batches(films, WEIGHTS, 1, seed=1)._mapping is None


def linear_model():
    """Return a compiled Keras model that is as small as can be."""
    keras = backend.keras()
    inputs = keras.Input((8, 8, 1), dtype="uint8")
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=[])
    return model


class Watching:
    """Keeps what Keras draws from a data set, by epoch."""

    def __init__(self):
        self.films = []

    def fit(self, data, *, initial_epoch, epochs, callbacks, shuffle, **_):
        """Go through the epochs as Keras does, which looks at the first batches beforehand."""
        assert not shuffle
        next(iter(data))
        for epoch in range(initial_epoch, epochs):
            callbacks[0].on_epoch_begin(epoch, {})
            batches = [data[index] for index in range(len(data))] if hasattr(data, "num_batches") else list(data)
            self.films.append([np.asarray(films)[:, 0, 0, 0].tolist() for films, _, _ in batches])


@pytest.mark.parametrize("fetched", [1, 3 * 4 * 8 * 8, 10**6], ids=["by the batch", "three at once", "all at once"])
@pytest.mark.parametrize("engine", ["tensorflow", "another"])
def test_each_epoch_has_its_own_order_whatever_is_fetched_at_once(films, monkeypatch, engine, fetched):
    """Also the epoch with which a run goes on; what is looked at beforehand disturbs nothing."""
    if engine == "another":
        monkeypatch.setattr(feeding, "for_keras", feeding._dataset_class())
    monkeypatch.setattr(feeding, "FETCHED_BYTES", fetched)
    watching = Watching()

    feeding.fit(watching, Batches(films, WEIGHTS, 4, seed=1), epochs=5, initial_epoch=3)

    for epoch, drawn in zip((3, 4), watching.films, strict=True):
        expected = Batches(films, WEIGHTS, 4, seed=1)
        expected.start(epoch)
        assert [expected[number][0][:, 0, 0, 0].tolist() for number in range(len(expected))] == drawn


def test_keras_goes_through_every_epoch(films):
    """Without a word about data that ran out: warnings are errors here."""
    history = feeding.fit(linear_model(), Batches(films, WEIGHTS, 4, seed=1), epochs=5, initial_epoch=2)

    assert [2, 3, 4] == history.epoch
    assert {"loss"} == history.history.keys()


def test_one_seed_gives_one_network(films):
    """Though the batches come through a thread of their own."""
    weights = []
    for _ in range(2):
        backend.keras().utils.set_random_seed(0)
        model = linear_model()
        feeding.fit(model, Batches(films, WEIGHTS, 4, seed=1), epochs=3)
        weights.append(model.get_weights())

    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
