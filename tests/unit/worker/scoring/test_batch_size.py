"""How many films are claimed at once."""

import pytest

from worker.scoring.batch_size import FIRST_CLAIM, BatchSizer


def after(*batches: tuple[int, float], most: int = 64) -> int:
    sizer = BatchSizer(most)
    for films, seconds in batches:
        sizer.observe(films, seconds)
    return sizer.films


def test_the_first_claim_is_small_and_within_the_maximum():
    """The speed of the network is not known yet."""
    assert (FIRST_CLAIM, 4) == (after(), after(most=4))


@pytest.mark.parametrize(("films_per_second", "claimed"), [(1, 4), (10, 4), (40, 16), (150, 64), (1000, 64)], ids=str)
def test_a_claim_takes_about_as_long_for_a_slow_network_as_for_a_fast_one(films_per_second, claimed):
    """Its size is a power of two, since networks run in those."""
    assert claimed == after(*[(16, 16 / films_per_second)] * 9)


def test_a_claim_has_a_film_for_every_decoder():
    """With fewer films, decoding would be slower and the next claim smaller still."""
    sizer = BatchSizer(64, threads=16)
    sizer.observe(16, 40)

    assert 16 == sizer.films


def test_one_slow_batch_changes_little_and_many_change_much():
    """A single slow disk read passes, a slower network remains."""
    fast, slow = (64, 0.4), (64, 1.6)
    assert 32 == after(*[fast] * 9, slow)
    assert 16 == after(*[fast] * 9, *[slow] * 9)


def test_small_batches_are_not_taken_into_account():
    """One film may take as long as ten together."""
    assert 64 == after(*[(64, 0.4)] * 9, *[(1, 0.1)] * 99)
