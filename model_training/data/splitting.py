"""Assigns films to train, validation and test: by patient, seeded, stratified by class and source. Opens no file.

Films that share a patient, a group of look-alikes or a content, directly or through other films, stay in one split. The
result depends on the films' contents and the seed, not on their names or their order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from model_training.data.class_folders import DatasetError

#: The paper's shares are 0.79, 0.16 and 0.05; a test split that small leaves rare classes without a usable interval.
FRACTIONS: Mapping[str, float] = MappingProxyType({"train": 0.70, "validation": 0.15, "test": 0.15})
#: A source is balanced within a class from this many films on; with fewer, rare sources would all go to `train`.
SOURCE_FILMS = 20

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SplitFilm:
    """A film, as far as its split depends on it."""

    #: SHA-256 of the file, in hexadecimal.
    content: str
    #: Name of the class.
    label: str
    source: str = ""
    #: Films that share one of these stay together.
    ties: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Splitting:
    """How splits were made."""

    seed: int
    #: Number of groups of films that stay together.
    groups: int
    #: Intended share of the films in each split.
    fractions: Mapping[str, float] = field(default_factory=lambda: FRACTIONS)


def assign_splits(films: Sequence[SplitFilm], seed: int) -> tuple[tuple[str, ...], Splitting]:
    """Return the split of each film and how the splits were made.

    Groups are assigned one by one, the largest first. Each goes to the split that most reduces the sum over the strata
    of (films in the split - films due)^2 / films of the stratum.

    Raises:
        DatasetError: a class has fewer groups than there are splits.
    """
    groups = find_groups(films)
    _require_enough(films, groups)
    strata = _strata(films)
    count = groups.max() + 1
    strata_of_group = np.zeros((count, strata.shape[1]))
    np.add.at(strata_of_group, groups, strata)
    chosen = _assign(strata_of_group, _order(films, groups, seed))
    splits = tuple(FRACTIONS)
    return tuple(splits[chosen[group]] for group in groups), Splitting(seed, int(count))


def find_groups(films: Sequence[SplitFilm]) -> npt.NDArray[np.int64]:
    """Return the number of each film's group: the connected components of the graph of films and their ties."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - SciPy takes a while to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - likewise

    ties = [(index, tie) for index, film in enumerate(films) for tie in (f"content {film.content}", *film.ties)]
    numbers = {tie: number for number, tie in enumerate(dict.fromkeys(tie for _, tie in ties), start=len(films))}
    nodes = len(films) + len(numbers)
    edges = ([index for index, _ in ties], [numbers[tie] for _, tie in ties])
    _, labels = connected_components(coo_array((np.ones(len(ties)), edges), shape=(nodes, nodes)), directed=False)
    groups: npt.NDArray[np.int64] = np.unique(labels[: len(films)], return_inverse=True)[1].astype(np.int64)
    return groups


def _require_enough(films: Sequence[SplitFilm], groups: npt.NDArray[np.int64]) -> None:
    """Check that each class has a group for every split; a film of an unknown patient counts as a patient."""
    groups_of = Counter(
        label for label, _ in {(film.label, int(group)) for film, group in zip(films, groups, strict=True)}
    )
    for label, count in sorted(groups_of.items()):
        if count < len(FRACTIONS):
            raise DatasetError(f"{label} has films of {count} patients; three splits need at least three")


def _strata(films: Sequence[SplitFilm]) -> Counts:
    """Return the strata of each film as 0 or 1, shape (films, strata): its class, and its source within the class."""
    pairs = Counter((film.label, film.source) for film in films)
    of_film = [
        ((film.label,), (film.label, film.source))
        if film.source and pairs[film.label, film.source] >= SOURCE_FILMS
        else ((film.label,),)
        for film in films
    ]
    columns = {name: number for number, name in enumerate(sorted({name for names in of_film for name in names}))}
    strata = np.zeros((len(films), len(columns)))
    for index, names in enumerate(of_film):
        strata[index, [columns[name] for name in names]] = 1
    return strata


def _order(films: Sequence[SplitFilm], groups: npt.NDArray[np.int64], seed: int) -> list[int]:
    """Return the groups, the largest first; the seed shuffles groups of equal size."""
    first: dict[int, str] = {}
    for film, group in zip(films, groups.tolist(), strict=True):
        first[group] = min(first.get(group, film.content), film.content)
    by_content = sorted(first, key=lambda group: first[group])
    shuffled = [by_content[place] for place in np.random.default_rng(seed).permutation(len(by_content))]
    sizes = np.bincount(groups)
    return sorted(shuffled, key=lambda group: -int(sizes[group]))


def _assign(strata_of_group: Counts, order: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the number of each group's split, shape (groups,), from its number of films in each stratum."""
    totals = strata_of_group.sum(axis=0)
    due = np.outer(list(FRACTIONS.values()), totals)
    due[1:] = np.maximum(due[1:], np.minimum(1, totals))  # Even a rare class is validated and tested.
    due[0] = totals - due[1:].sum(axis=0)
    missing = due.copy()
    chosen = np.zeros(len(strata_of_group), np.int64)
    for group in order:
        # The part of the change of the sum that differs between the splits.
        chosen[group] = np.argmax(missing @ (strata_of_group[group] / totals))
        missing[chosen[group]] -= strata_of_group[group]
    return chosen
