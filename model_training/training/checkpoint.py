"""The state of a training run between two epochs, on disk: a killed run goes on where its last epoch ended.

Holds every variable of the network and its optimiser, random states among them, the curves so far and the best weights.
Knows neither films nor layers.
"""

import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

#: A run that was killed longer ago begins anew.
KEPT_SECONDS = 14 * 24 * 60 * 60


@dataclass(frozen=True)
class State:
    """A run after an epoch."""

    #: Per epoch that is over.
    history: list[dict[str, float]]
    #: That it took.
    seconds: float
    #: The epoch, counted from 1, that is the best on validation so far; 0 before there is one.
    kept_epoch: int
    #: The network's weights after that epoch.
    kept: list[Array]
    #: Every variable of the model in training and of its optimiser.
    variables: list[Array]


def name_of(choices: Mapping[str, Any]) -> str:
    """Return the name of the checkpoint of a run with these choices: the same run finds it again, no other does."""
    return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:24] + ".npz"


def write(path: Path, state: State) -> None:
    """Replace the checkpoint in one visible step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"history": state.history, "seconds": state.seconds, "kept_epoch": state.kept_epoch}
    arrays = {"told": np.array(json.dumps(told)), **_numbered("kept", state.kept)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays, **_numbered("variable", state.variables))
    scratch = path.with_suffix(".writing")
    with scratch.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def read(path: Path) -> State | None:
    """Return the checkpoint, or None where there is none that can be read: the run then begins anew."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            told = json.loads(str(stored["told"]))
            return State(**told, kept=_list(stored, "kept"), variables=_list(stored, "variable"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def forget_old(folder: Path) -> None:
    """Remove the checkpoints of runs that nobody took up again."""
    for path in folder.glob("*.npz"):
        if time.time() - path.stat().st_mtime > KEPT_SECONDS:
            path.unlink(missing_ok=True)


def _numbered(name: str, arrays: Sequence[Array]) -> dict[str, Array]:
    return {f"{name}_{number}": array for number, array in enumerate(arrays)}


def _list(stored: Mapping[str, Array], name: str) -> list[Array]:
    return [stored[f"{name}_{number}"] for number in range(sum(key.startswith(f"{name}_") for key in stored))]
