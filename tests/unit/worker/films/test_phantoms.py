"""The drawn films."""

import numpy as np
import pytest

from worker.films.phantoms import (
    FINDINGS,
    KIND_FILE,
    _aerated,
    _body,
    _effusion,
    _healthy,
    _pneumothorax,
    draw,
    save,
    write_dataset,
)


def test_the_same_seed_draws_the_same_film():
    """A phantom can be named by its finding and its seed."""
    assert np.array_equal(draw("Opacity", 5), draw("Opacity", 5))
    assert not np.array_equal(draw("Opacity", 5), draw("Opacity", 6))


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_phantom_says_that_it_is_one(finding):
    """The word is burnt into the lower corner, whatever the finding."""
    film = draw(finding, 1)

    assert (256, 256) == film.shape
    assert 50 < np.count_nonzero(film[-15:, :63] > 180) < 400
    assert np.count_nonzero(film[-15:, :63] < 20) > 400


@pytest.mark.parametrize("seed", range(5))
def test_fluid_absorbs_more_and_air_less_than_the_healthy_lung(seed):
    """The findings change the attenuation as in a real body."""
    body = _body(np.random.default_rng(seed), 64)
    healthy = _healthy(body)

    assert healthy.min() >= 0
    assert _effusion(body).min() >= 0
    assert _effusion(body).max() > 0.5
    assert _pneumothorax(body).min() < -0.1
    assert all(_aerated(body, lung).max() > 5 for lung in body.lungs)


def test_a_data_set_has_three_splits_of_distinct_films(tmp_path):
    """No film is drawn twice, and the folder says what it holds."""
    write_dataset(tmp_path / "set", per_finding=2, seed=1)

    files = sorted(tmp_path.rglob("*.png"))
    assert (2 + 1 + 1) * len(FINDINGS) == len(files)
    assert len(files) == len({path.read_bytes() for path in files})
    assert "phantoms" == (tmp_path / "set" / KIND_FILE).read_text().strip()


def test_a_data_set_that_was_interrupted_is_not_there(tmp_path, monkeypatch):
    """A training could use half a set, or half a set could prevent a whole one from being written."""
    saved = []

    def save_three(film, path):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(path)
        save(film, path)

    monkeypatch.setattr("worker.films.phantoms.save", save_three)

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", per_finding=2, seed=1)

    assert 3 == len(saved)
    assert [] == list(tmp_path.iterdir())
