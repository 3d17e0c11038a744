"""Features that reveal the source give an accuracy above chance; others do not."""

import json

import numpy as np

from model_training.metrics.source_leak import source_leak

CLASSES = ("A", "No-Findings")


def films(n=200, leak=0.0):
    """Return features, the first of which depends on the source, then two sources and the truth."""
    draws = np.random.default_rng(0)
    sources = draws.integers(0, 2, n)
    features = draws.normal(size=(n, 8))
    features[:, 0] += leak * sources
    return features.astype(np.float16), [f"source {source}" for source in sources], draws.integers(0, 2, n)


def leak_of(features, sources, truth, **known):
    found = source_leak(features, sources, truth, CLASSES, **known)
    json.dumps(found.stored(), allow_nan=False)
    return found


def test_features_that_contain_the_source_reveal_it():
    """They reveal it among all films, and among those of one class."""
    found = leak_of(*films(leak=6.0))

    assert found.accuracy > 0.95
    assert found.macro_auroc > 0.95
    assert ("No-Findings", 8) == (found.within.class_name, found.within.features)
    assert found.within.accuracy_interval[0] > found.within.chance + 0.1
    assert found.n > found.within.n
    assert 200 == found.n == sum(found.sources.values())


def test_features_without_the_source_reveal_no_more_than_chance():
    """The interval of the area holds one half."""
    found = leak_of(*films())

    lower, upper = found.macro_auroc_interval
    assert lower < 0.5 < upper
    assert found.accuracy_interval[0] < found.chance + 0.05


def test_the_accuracy_from_the_class_alone_is_given():
    """If each source has one class, the class alone reveals the source."""
    features, sources, _ = films()
    truth = np.array([int(source == "source 1") for source in sources])

    found = leak_of(features, sources, truth)

    assert 1.0 == found.chance_given_class
    assert max(found.sources.values()) / 200 == found.chance
    assert found.within is None


def test_films_of_one_patient_are_never_in_both_folds():
    """A feature that identifies the patient, and so the source, does not help with other patients."""
    patient = np.repeat(np.arange(40), 5)
    draws = np.random.default_rng(0)
    fingerprint = draws.normal(size=(40, 200))[patient]
    sources = [f"source {source}" for source in draws.integers(0, 2, 40)[patient]]

    known = leak_of(fingerprint, sources, np.ones(200, np.int64), patients=[f"p{unit}" for unit in patient])
    unknown = leak_of(fingerprint, sources, np.ones(200, np.int64))

    assert unknown.accuracy > 0.95
    assert known.accuracy < 0.8
    assert 40 == known.bootstrap.units


def test_small_sources_are_left_out_and_counted():
    """Nineteen films, or four patients, are too few for five folds."""
    features, sources, truth = films(240, leak=2.0)
    sources[:19] = ["small"] * 19
    sources[19:40] = ["one family"] * 21
    patients = [f"p{film}" for film in range(240)]
    patients[19:40] = ["one"] * 21

    found = leak_of(features, sources, truth, patients=patients)

    assert (200, 40, {"source 0", "source 1"}) == (found.n, found.left_out, set(found.sources))


def test_one_source_alone_cannot_be_told_from_itself():
    """There is nothing to check."""
    features, _, truth = films(40)

    assert source_leak(features, ["one"] * 40, truth, CLASSES) is None
    assert source_leak(features[:1], ["one"], truth[:1], CLASSES) is None
