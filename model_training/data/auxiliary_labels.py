"""What else a film shows, where the data state it: targets of a second, multi-label head that is used in training only.

One class per film is the paper's choice, not the truth: a film filed under Pneumothorax may show an effusion, too. The
head that learns all of it makes the features that both heads share better; what is published names one class.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: int8, shape (n, findings): 1 shown, 0 not shown, UNKNOWN where the data do not say.
Targets = npt.NDArray[np.int8]
UNKNOWN = -1

#: Those of NIH ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315), as its tables spell them.
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
#: A radiologist's mark in the RSNA challenge, beside NIH's labels of the same film.
OPACITY = "RSNA lung opacity"
LABELS_COLUMN = "original_labels"
#: A finding that fewer films show teaches nothing.
FEWEST_FILMS = 20


@dataclass(frozen=True)
class AuxiliaryLabels:
    """Which findings are learned beside the class, and on which films they are known."""

    names: tuple[str, ...]
    targets: Targets


def of_films(films: Sequence[str], manifest: Mapping[str, Mapping[str, str]]) -> AuxiliaryLabels | None:
    """Return the findings that enough films show, in the order of the films; None where there are none.

    Args:
        films: names below the data folder.
        manifest: rows by film; `original_labels` holds findings as `Effusion|Infiltration; RSNA lung opacity=1`.
    """
    known = [_stated(manifest.get(name, {}).get(LABELS_COLUMN, "")) for name in films]
    names = (*NIH_FINDINGS, OPACITY)
    targets = np.array([[film.get(name, UNKNOWN) for name in names] for film in known], np.int8).reshape(-1, len(names))
    enough = np.flatnonzero((targets == 1).sum(axis=0) >= FEWEST_FILMS)
    if not len(enough):
        return None
    return AuxiliaryLabels(tuple(names[index] for index in enough), targets[:, enough])


def _stated(labels: str) -> dict[str, int]:
    """Return what a film's labels state: a list of NIH's findings is complete, so what it lacks is not shown."""
    listed, *rest = (part.strip() for part in labels.split(";"))
    shown = set(listed.split("|"))
    stated: dict[str, int] = {}
    if shown <= {*NIH_FINDINGS, NOTHING}:
        stated = {name: int(name in shown) for name in NIH_FINDINGS}
    for part in rest:
        if match := re.fullmatch(rf"{OPACITY}=([01])", part):
            stated[OPACITY] = int(match[1])
    return stated
