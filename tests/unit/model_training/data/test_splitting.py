"""Splits that are made: by patient, seeded, and fair to every class and source."""

from collections import Counter

import numpy as np
import pytest

from model_training.data.class_folders import DatasetError
from model_training.data.splitting import FRACTIONS, Member, assign_splits


def members(seed=0, patients=300):
    """Return films of patients with up to nine each, of three classes of very different size and three sources."""
    random = np.random.default_rng(seed)
    made = []
    for patient in range(patients):
        label = random.choice(["Common", "Middle", "Rare"], p=[0.7, 0.25, 0.05])
        source = random.choice(["one", "two", "three"])
        for _ in range(random.integers(1, 10)):
            made.append(Member(f"{random.integers(2**62):064x}", str(label), str(source), frozenset({f"p{patient}"})))  # noqa: PERF401
    return made


def test_no_tie_crosses_a_split_over_however_many_steps():
    """A patient's film may look like another patient's: then all films of both stay together."""
    films = members()
    films += [
        Member("f" * 64, "Common", ties=frozenset({"p1", "g"})),
        Member("e" * 64, "Common", ties=frozenset({"g", "p2"})),
    ]

    splits, made = assign_splits(films, 0)

    found = {}
    for film, split in zip(films, splits, strict=True):
        for tie in film.ties:
            found.setdefault(tie, set()).add(split)
    assert all(len(there) == 1 for there in found.values())
    assert found["p1"] == found["p2"] == found["g"]
    assert 299 == made.groups


def test_one_content_is_in_one_split():
    """Whoever's it is."""
    films = [*members(), *(Member("c" * 64, "Common", ties=frozenset({f"x{n}"})) for n in range(9))]

    splits, _ = assign_splits(films, 0)

    assert 1 == len(set(splits[-9:]))


def test_every_class_and_source_is_shared_out_as_the_whole():
    """Within two films in a hundred of the class, or a group."""
    films = members()

    splits, _ = assign_splits(films, 0)

    for stratum in (lambda film: film.label, lambda film: (film.label, film.source)):
        totals = Counter(map(stratum, films))
        held = Counter((stratum(film), split) for film, split in zip(films, splits, strict=True))
        for name, total in totals.items():
            for split, fraction in FRACTIONS.items():
                assert fraction * total == pytest.approx(held[name, split], abs=max(9, 0.02 * total)), (name, split)


def test_films_alone_are_shared_out_to_the_film():
    """Where nothing ties them, the shares are exact."""
    films = [Member(f"{n:064x}", "AB"[n % 2]) for n in range(200)]

    counts = Counter(zip(assign_splits(films, 0)[0], (film.label for film in films), strict=True))

    assert {(split, label): round(100 * share) for split, share in FRACTIONS.items() for label in "AB"} == counts


def test_the_order_of_the_films_does_not_matter_and_the_seed_does():
    """Files come in any order; a split can be made again, and another one drawn."""
    films = members()
    shuffled = [films[index] for index in np.random.default_rng(5).permutation(len(films))]

    there, there_again = ({film.content: split for film, split in zip(order, assign_splits(order, 3)[0], strict=True)} for order in (films, shuffled))  # fmt: skip  # noqa: E501

    assert there == there_again
    assert assign_splits(films, 3)[0] != assign_splits(films, 4)[0]


def test_a_class_of_three_patients_is_in_every_split():
    """Without a test film it would have no figure."""
    films = [*members(), *(Member(f"{n}" * 64, "Three", ties=frozenset({f"t{n}"})) for n in range(3))]

    assert {"train", "validation", "test"} == set(assign_splits(films, 0)[0][-3:])


def test_a_class_of_two_patients_cannot_be_shared_out():
    """However many films they have; said in one line, without their names."""
    films = [*members(), *(Member(f"{n}" * 64, "Two", ties=frozenset({f"t{n % 2}"})) for n in range(8))]

    with pytest.raises(DatasetError, match="Two has films of 2 patients; three splits need three at least"):
        assign_splits(films, 0)
