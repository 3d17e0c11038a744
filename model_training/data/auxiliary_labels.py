"""Auxiliary labels: what else a film shows, as targets of a second head that is used only in training.

The paper gives each film one class, but a film filed under Pneumothorax may show an effusion, too. A second head
that learns all stated findings improves the features that both heads share. The published network has one head.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: int8, shape (n, findings): 1 shown, 0 not shown, UNKNOWN where the data do not say.
Targets = npt.NDArray[np.int8]
UNKNOWN = -1

#: The findings of NIH ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315), spelled as in its tables.
NIH_FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
NOTHING = "No Finding"
#: A radiologist's mark in the RSNA challenge, which used films of NIH.
OPACITY = "RSNA lung opacity"
LABELS_COLUMN = "original_labels"
#: Findings that fewer films show are not learned.
FEWEST_FILMS = 20


@dataclass(frozen=True)
class AuxiliaryLabels:
    """The findings that are learned beside the class, and what is known of them on each film."""

    names: tuple[str, ...]
    targets: Targets


def from_manifest(films: Sequence[str], manifest: Mapping[str, Mapping[str, str]]) -> AuxiliaryLabels | None:
    """Return the findings that enough films show, or None if there is no such finding.

    Args:
        films: names below the data folder; the targets have their order.
        manifest: rows by film; `original_labels` gives findings as `Effusion|Infiltration; RSNA lung opacity=1`.
    """
    known = [_parse_labels(manifest.get(name, {}).get(LABELS_COLUMN, "")) for name in films]
    names = (*NIH_FINDINGS, OPACITY)
    targets = np.array([[film.get(name, UNKNOWN) for name in names] for film in known], np.int8).reshape(-1, len(names))
    enough = np.flatnonzero((targets == 1).sum(axis=0) >= FEWEST_FILMS)
    if not len(enough):
        return None
    return AuxiliaryLabels(tuple(names[index] for index in enough), targets[:, enough])


def _parse_labels(labels: str) -> dict[str, int]:
    """Return each stated finding as 1 or 0. A list of NIH's findings is complete: findings that it lacks are 0."""
    listed, *rest = (part.strip() for part in labels.split(";"))
    shown = set(listed.split("|"))
    stated: dict[str, int] = {}
    if shown <= {*NIH_FINDINGS, NOTHING}:
        stated = {name: int(name in shown) for name in NIH_FINDINGS}
    for part in rest:
        if match := re.fullmatch(rf"{OPACITY}=([01])", part):
            stated[OPACITY] = int(match[1])
    return stated
