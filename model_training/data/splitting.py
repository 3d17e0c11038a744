"""Splits for films that have none: by patient, seeded, stratified by class and source. Pure; opens no file.

Films that a patient, a group of look-alikes or a content ties together, over however many steps, are never parted. The
films' contents and the seed decide, not their names or their order.
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
#: A source's share of a class is balanced from so many films on; fewer would pull rare sources all into `train`.
SOURCE_FILMS = 20

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Member:
    """What matters of one film when splits are made."""

    #: SHA-256, hexadecimal.
    content: str
    #: Name of its class.
    label: str
    source: str = ""
    #: Films with one of these in common stay together.
    ties: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Splitting:
    """How splits were made."""

    seed: int
    #: Groups of films that were not parted.
    groups: int
    #: Share of the films that each split was to get.
    fractions: Mapping[str, float] = field(default_factory=lambda: FRACTIONS)


def assign_splits(members: Sequence[Member], seed: int) -> tuple[tuple[str, ...], Splitting]:
    """Return the split of each film and how the splits were made.

    Each group, the largest first, goes where it is missed most: to the split that brings the sum over the strata of
    (films there - films due)^2 / films of the stratum down furthest.

    Raises:
        DatasetError: a class has fewer groups than there are splits.
    """
    groups = find_groups(members)
    _require_enough(members, groups)
    strata = _strata(members)
    count = groups.max() + 1
    held = np.zeros((count, strata.shape[1]))
    np.add.at(held, groups, strata)
    chosen = _placed(held, _order(members, groups, seed))
    splits = tuple(FRACTIONS)
    return tuple(splits[chosen[group]] for group in groups), Splitting(seed, int(count))


def find_groups(members: Sequence[Member]) -> npt.NDArray[np.int64]:
    """Return the number of each film's group: the connected parts of the graph of films and what ties them."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - SciPy takes a while to import
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - likewise

    ties = [(index, tie) for index, member in enumerate(members) for tie in (f"content {member.content}", *member.ties)]
    numbers = {tie: number for number, tie in enumerate(dict.fromkeys(tie for _, tie in ties), start=len(members))}
    nodes = len(members) + len(numbers)
    edges = ([index for index, _ in ties], [numbers[tie] for _, tie in ties])
    _, labels = connected_components(coo_array((np.ones(len(ties)), edges), shape=(nodes, nodes)), directed=False)
    groups: npt.NDArray[np.int64] = np.unique(labels[: len(members)], return_inverse=True)[1].astype(np.int64)
    return groups


def _require_enough(members: Sequence[Member], groups: npt.NDArray[np.int64]) -> None:
    """Films without a known patient count as one patient each here."""
    found = Counter(
        label for label, _ in {(member.label, int(group)) for member, group in zip(members, groups, strict=True)}
    )
    for label, count in sorted(found.items()):
        if count < len(FRACTIONS):
            raise DatasetError(f"{label} has films of {count} patients; three splits need three at least")


def _strata(members: Sequence[Member]) -> Counts:
    """Return which strata each film counts in, 0 or 1, shape (films, strata): its class, and its source there."""
    pairs = Counter((member.label, member.source) for member in members)
    of_film = [
        ((member.label,), (member.label, member.source))
        if member.source and pairs[member.label, member.source] >= SOURCE_FILMS
        else ((member.label,),)
        for member in members
    ]
    columns = {name: number for number, name in enumerate(sorted({name for names in of_film for name in names}))}
    strata = np.zeros((len(members), len(columns)))
    for index, names in enumerate(of_film):
        strata[index, [columns[name] for name in names]] = 1
    return strata


def _order(members: Sequence[Member], groups: npt.NDArray[np.int64], seed: int) -> list[int]:
    """Return the groups, the largest first, equal ones in an order that the seed draws."""
    first: dict[int, str] = {}
    for member, group in zip(members, groups.tolist(), strict=True):
        first[group] = min(first.get(group, member.content), member.content)
    by_content = sorted(first, key=lambda group: first[group])
    drawn = [by_content[place] for place in np.random.default_rng(seed).permutation(len(by_content))]
    sizes = np.bincount(groups)
    return sorted(drawn, key=lambda group: -int(sizes[group]))


def _placed(held: Counts, order: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the number of each group's split, shape (groups,), for groups with `held` films of each stratum."""
    totals = held.sum(axis=0)
    due = np.outer(list(FRACTIONS.values()), totals)
    due[1:] = np.maximum(due[1:], np.minimum(1, totals))  # Even a rare class is watched and tested.
    due[0] = totals - due[1:].sum(axis=0)
    missing = due.copy()
    chosen = np.zeros(len(held), np.int64)
    for group in order:
        # The part of the sum's change that differs between the splits.
        chosen[group] = np.argmax(missing @ (held[group] / totals))
        missing[chosen[group]] -= held[group]
    return chosen
