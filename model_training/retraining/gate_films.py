"""The gate's films, used only to judge candidates: drawn from `train` by patient, or a folder `gate` beside it.

Whether a film belongs to the gate depends only on its own group and the seed, so films added later move no other film.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_training.data import film_cache, manifest, splitting
from model_training.data.class_folders import DatasetError, FilmFile, list_films
from model_training.data.dataset import MANIFEST_FILE, Dataset, patient_of
from model_training.data.films import Labels, OnFilm, Size, ignore
from model_training.data.formats import shortened
from model_training.data.splitting import SplitFilm
from worker.decoding import Grey

GATE = "gate"
#: Share of the films of `train` that go to the gate if there is no folder `gate`.
SHARE = 0.15
#: Splits whose changes must be noticed.
LOCKED = ("validation", "test")


@dataclass(frozen=True)
class GateFilms:
    """The gate's films, not yet decoded: each version needs its own input size."""

    #: Sorted by name.
    files: tuple[FilmFile, ...]
    sha256: tuple[str, ...]
    classes: tuple[str, ...]
    #: Patient of each film; None if unknown.
    patients: tuple[str | None, ...]
    #: True for a folder `gate`, whose films no training reads.
    own_folder: bool

    @property
    def labels(self) -> Labels:
        """Index of each film's class, shape (n,)."""
        return np.array([file.label for file in self.files], np.int64)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the class and content of every film."""
        return fingerprint(
            (self.classes[file.label], digest) for file, digest in zip(self.files, self.sha256, strict=True)
        )

    def pixels(self, size: Size, on_film: OnFilm = ignore) -> Grey:
        """Return the films, uint8, shape (n, height, width), mapped and read-only.

        Raises:
            DatasetError: a file has changed since it was set apart.
        """
        decoded = film_cache.decode([(file.name, file.path) for file in self.files], size, on_film)
        if tuple(reading.sha256 for reading in decoded.readings) != self.sha256:
            raise DatasetError("films of the gate changed while a candidate was trained")
        return decoded.pixels


def fingerprint(films: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 over the (class, content) of films, independent of their order."""
    return hashlib.sha256("".join(sorted(f"{name}\t{digest}\n" for name, digest in films)).encode()).hexdigest()


def fingerprints(data: Dataset, gate: GateFilms) -> dict[str, str]:
    """Return the fingerprint of each split whose changes must be noticed."""
    of_split = {
        split: fingerprint(
            (data.classes[label], digest)
            for label, digest in zip(data.splits[split].labels, data.splits[split].sha256, strict=True)
        )
        for split in LOCKED
    }
    return {**of_split, GATE: gate.fingerprint}


def set_gate_apart(data: Dataset, folder: Path, size: Size, seed: int) -> tuple[GateFilms, npt.NDArray[np.bool_]]:
    """Return the gate's films, and a mask of the films of `train` that remain for training, shape (n,).

    Args:
        data: the base set.
        folder: the data folder; film names are paths below it.
        size: input size of the base set, so that a folder `gate` is decoded once.
        seed: decides which films belong to the gate.

    Raises:
        DatasetError: the folder `gate` shares a film or a patient with another split.
    """
    if (folder / GATE).is_dir():
        return _read_gate_folder(data, folder, size), np.ones(len(data.splits["train"]), np.bool_)
    train = data.splits["train"]
    chosen = _draw(data, seed)
    files = [FilmFile(folder / name, name, int(label)) for name, label in zip(train.names, train.labels, strict=True)]
    part = sorted(np.flatnonzero(chosen), key=lambda row: train.names[row])
    split = GateFilms(
        tuple(files[row] for row in part),
        tuple(train.sha256[row] for row in part),
        data.classes,
        tuple(patient_of(data.manifest.get(train.names[row], {})) for row in part),
        own_folder=False,
    )
    return split, ~chosen


def _draw(data: Dataset, seed: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the films of `train` that belong to the gate: the hash of their group is below the share."""
    train = data.splits["train"]
    members = [
        SplitFilm(digest, data.classes[label], ties=_ties(data, name))
        for name, label, digest in zip(train.names, train.labels, train.sha256, strict=True)
    ]
    of_group: dict[int, list[str]] = defaultdict(list)
    numbers = splitting.find_groups(members).tolist()
    for member, group in zip(members, numbers, strict=True):
        of_group[group] += sorted(member.ties) or [f"content {member.content}"]
    first = {group: min(names) for group, names in of_group.items()}
    return np.array([_share_of(first[group], seed) < SHARE for group in numbers], np.bool_)


def _ties(data: Dataset, name: str) -> frozenset[str]:
    row = data.manifest.get(name, {})
    patient, group = patient_of(row), row.get("group_id")
    return frozenset(({f"patient {patient}"} if patient else set()) | ({f"group {group}"} if group else set()))


def _share_of(name: str, seed: int) -> float:
    """Return a number in [0, 1), uniformly distributed, that depends on the name and the seed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]) / 2**64


def _read_gate_folder(data: Dataset, folder: Path, size: Size) -> GateFilms:
    listing = list_films(folder, folder / GATE, data.classes)
    readings = film_cache.decode([(file.name, file.path) for file in listing.files], size).readings
    rows = manifest.read(folder / MANIFEST_FILE) if (folder / MANIFEST_FILE).is_file() else {}
    first: dict[str, FilmFile] = {}
    for file, reading in zip(listing.files, readings, strict=True):
        if reading.reason is None:
            first.setdefault(reading.sha256, file)
    pairs = sorted(first.items(), key=lambda pair: pair[1].name)
    split = GateFilms(
        tuple(file for _, file in pairs),
        tuple(digest for digest, _ in pairs),
        data.classes,
        tuple(patient_of(rows.get(file.name, {})) for _, file in pairs),
        own_folder=True,
    )
    _require_separate(data, split)
    return split


def _require_separate(data: Dataset, gate: GateFilms) -> None:
    names = [name for films in data.splits.values() for name in films.names]
    contents = {digest for films in data.splits.values() for digest in films.sha256}
    patients = {patient_of(data.manifest.get(name, {})) for name in names} - {None}
    shared = _names(gate, gate.sha256, contents) or _names(gate, gate.patients, patients)
    if shared:
        raise DatasetError(f"films of the gate, or their patients, are in another split: {shortened(shared)}")


def _names(gate: GateFilms, of_film: Sequence[str | None], elsewhere: set[str] | set[str | None]) -> list[str]:
    return [
        file.name for file, known in zip(gate.files, of_film, strict=True) if known is not None and known in elsewhere
    ]
