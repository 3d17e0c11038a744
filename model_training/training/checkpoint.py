"""Checkpoints: the state of a training between two epochs, on disk, from which a killed run continues.

A checkpoint holds every variable of the network and its optimiser, including random states, the curves so far and the
best weights.
"""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_training.networks.keras_types import Array
from worker.storage import atomic_files

#: Older checkpoints are removed; their runs start again.
KEPT_SECONDS = 14 * 24 * 60 * 60
#: Names in the file.
PROGRESS, BEST_WEIGHTS, VARIABLES = "told", "kept", "variable"


@dataclass(frozen=True)
class State:
    """A training after an epoch."""

    #: Loss, accuracy and learning rate of each finished epoch.
    history: list[dict[str, float]]
    #: Duration of the training so far.
    seconds: float
    #: Number of the best epoch on validation so far, counted from 1; 0 if there is none yet.
    kept_epoch: int
    #: The network's weights after that epoch.
    best_weights: Sequence[Array]
    #: Every variable of the training model and of its optimiser.
    variables: list[Array]


def name_of(choices: Mapping[str, object]) -> str:
    """Return the file name for a run with these choices; a run with other choices gets another name."""
    return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:24] + ".npz"


def write(path: Path, state: State) -> None:
    """Replace the checkpoint atomically."""
    progress = {"history": state.history, "seconds": state.seconds, "kept_epoch": state.kept_epoch}
    arrays = {PROGRESS: np.array(json.dumps(progress)), **_numbered(BEST_WEIGHTS, state.best_weights)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays, **_numbered(VARIABLES, state.variables))
    atomic_files.write(path, buffer.getbuffer())


def read(path: Path) -> State | None:
    """Return the checkpoint, or None if there is no readable one; the run then starts from the beginning."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            progress = json.loads(str(stored[PROGRESS]))
            best_weights, variables = _list(stored, BEST_WEIGHTS), _list(stored, VARIABLES)
            return State(**progress, best_weights=best_weights, variables=variables)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def remove_old(folder: Path) -> None:
    """Remove the checkpoints of runs that nobody continued."""
    for path in (*folder.glob("*.npz"), *folder.glob(f"{atomic_files.STAGING}*")):
        if time.time() - path.stat().st_mtime > KEPT_SECONDS:
            path.unlink(missing_ok=True)


def _numbered(name: str, arrays: Sequence[Array]) -> dict[str, Array]:
    return {f"{name}_{number}": array for number, array in enumerate(arrays)}


def _list(stored: Mapping[str, Array], name: str) -> list[Array]:
    return [stored[f"{name}_{number}"] for number in range(sum(key.startswith(f"{name}_") for key in stored))]
