"""New splits keep patients together, depend on the seed, and balance classes and sources."""

from collections import Counter

import numpy as np
import pytest

from model_training.data.class_folders import DatasetError
from model_training.data.splitting import FRACTIONS, SplitFilm, assign_splits


def films_of_patients(seed=0, patients=300):
    """Return up to nine films for each patient, of three sources and three classes of very different size."""
    random = np.random.default_rng(seed)
    films = []
    for patient in range(patients):
        label = random.choice(["Common", "Middle", "Rare"], p=[0.7, 0.25, 0.05])
        source = random.choice(["one", "two", "three"])
        for _ in range(random.integers(1, 10)):
            content = f"{random.integers(2**62):064x}"
            films.append(SplitFilm(content, str(label), str(source), frozenset({f"p{patient}"})))
    return films


def test_films_that_are_tied_through_others_stay_in_one_split():
    """If a film looks like another patient's film, all films of both patients stay together."""
    films = films_of_patients()
    films += [
        SplitFilm("f" * 64, "Common", ties=frozenset({"p1", "g"})),
        SplitFilm("e" * 64, "Common", ties=frozenset({"g", "p2"})),
    ]

    splits, splitting = assign_splits(films, 0)

    found = {}
    for film, split in zip(films, splits, strict=True):
        for tie in film.ties:
            found.setdefault(tie, set()).add(split)
    assert all(len(there) == 1 for there in found.values())
    assert found["p1"] == found["p2"] == found["g"]
    assert 299 == splitting.groups


def test_one_content_is_in_one_split():
    """This holds even for different patients."""
    films = [*films_of_patients(), *(SplitFilm("c" * 64, "Common", ties=frozenset({f"x{n}"})) for n in range(9))]

    splits, _ = assign_splits(films, 0)

    assert 1 == len(set(splits[-9:]))


def test_every_class_and_source_is_split_in_the_same_proportions():
    """The difference is at most 2 % of the class, or one group."""
    films = films_of_patients()

    splits, _ = assign_splits(films, 0)

    for stratum in (lambda film: film.label, lambda film: (film.label, film.source)):
        totals = Counter(map(stratum, films))
        held = Counter((stratum(film), split) for film, split in zip(films, splits, strict=True))
        for name, total in totals.items():
            for split, fraction in FRACTIONS.items():
                assert fraction * total == pytest.approx(held[name, split], abs=max(9, 0.02 * total)), (name, split)


def test_untied_films_are_split_exactly():
    """If no films are tied, the proportions are exact."""
    films = [SplitFilm(f"{n:064x}", "AB"[n % 2]) for n in range(200)]

    counts = Counter(zip(assign_splits(films, 0)[0], (film.label for film in films), strict=True))

    assert {(split, label): round(100 * share) for split, share in FRACTIONS.items() for label in "AB"} == counts


def test_splits_depend_on_the_seed_and_not_on_the_order_of_the_films():
    """The same seed repeats a split, and another seed gives another one."""
    films = films_of_patients()
    shuffled = [films[index] for index in np.random.default_rng(5).permutation(len(films))]

    there, there_again = ({film.content: split for film, split in zip(order, assign_splits(order, 3)[0], strict=True)} for order in (films, shuffled))  # fmt: skip  # noqa: E501

    assert there == there_again
    assert assign_splits(films, 3)[0] != assign_splits(films, 4)[0]


def test_a_class_of_three_patients_is_in_every_split():
    """Without a test film it would have no result."""
    films = [*films_of_patients(), *(SplitFilm(f"{n}" * 64, "Three", ties=frozenset({f"t{n}"})) for n in range(3))]

    assert {"train", "validation", "test"} == set(assign_splits(films, 0)[0][-3:])


def test_a_class_of_two_patients_cannot_be_split():
    """The number of films does not matter, and the message does not name the patients."""
    films = [*films_of_patients(), *(SplitFilm(f"{n}" * 64, "Two", ties=frozenset({f"t{n % 2}"})) for n in range(8))]

    with pytest.raises(DatasetError, match="Two has films of 2 patients; three splits need at least three"):
        assign_splits(films, 0)
