"""A training set: train, validation and test, read as the worker reads films.

Refuses what would make a report flatter: a film or a patient in two splits, a class without films. Splits that are
missing are made by patient. Knows no network.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from model_training.data import film_cache, manifest, splitting
from model_training.data.class_folders import DUPLICATE, DatasetError, FilmFile, LeftOut
from model_training.data.decoded_sets import Decoded
from model_training.data.films import Films, OnFilm, Size, ignore
from model_training.data.formats import MANIFEST_FILE, SPLITS, DatasetFiles, find_files, some
from model_training.data.manifest import Manifest
from model_training.data.splitting import Member, Splitting
from worker.films.phantoms import KIND, KIND_FILE

__all__ = ["MANIFEST_FILE", "SPLITS", "Dataset", "Manifest", "patient_of", "read", "write_manifest"]


@dataclass(frozen=True)
class Dataset:
    """A training set as it was read."""

    classes: tuple[str, ...]
    #: By the names in `SPLITS`.
    splits: Mapping[str, Films]
    kind: Literal["films", "phantoms"]
    #: SHA-256 over every (split, class, content).
    fingerprint: str
    #: The manifest's row per film name; empty without a manifest.
    manifest: Manifest
    #: How the splits were made; None where the data brought them.
    splitting: Splitting | None = None
    #: Left-out files of data that bring no splits.
    unplaced: tuple[LeftOut, ...] = ()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of films per split and class."""
        return {
            split: {name: int((films.labels == index).sum()) for index, name in enumerate(self.classes)}
            for split, films in self.splits.items()
        }

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Every file that is no readable film, or whose content is there already."""
        return (*(entry for films in self.splits.values() for entry in films.left_out), *self.unplaced)


@dataclass(frozen=True)
class _Film:
    """A readable film on the way to its place."""

    file: FilmFile
    sha256: str
    #: Where its pixels lie among all that were decoded.
    row: int
    #: Empty until it has one.
    split: str

    @property
    def name(self) -> str:
        return self.file.name


#: A left-out file with its split, if it has one.
_Left = tuple[str | None, LeftOut]


def read(data: Path, size: Size, on_film: OnFilm = ignore, *, split_seed: int = 0) -> Dataset:
    """Read a training set; where its splits are missing, they are made by patient.

    Args:
        data: one of: a folder with train, validation and test, each with a folder per class, perhaps with
            `manifest.csv` beside them; a manifest, or a folder with `manifest.csv`, whose rows give file and class,
            and perhaps split; a folder of class folders.
        size: height and width in pixels to which every film is resized.
        on_film: told how many of how many files are read.
        split_seed: of splits that are made; not that of the training, whose runs are compared on the same films.

    Raises:
        DatasetError: a folder, a file or a class is missing, a manifest contradicts itself or the folders, or a film
            or a patient is in two splits.
    """
    found = find_files(data)
    decoded = film_cache.decoded([(file.name, file.path) for file in found.files], size, on_film)
    films, left_out = _judged(found, decoded)
    _refuse_twins(films, found.classes)
    films, copies = _without_copies(films)
    left_out += [(copy.split or None, LeftOut(copy.name, DUPLICATE)) for copy in copies]
    made = None
    if not found.splits:
        films, made = _split(films, copies, found, split_seed)
    _require_every_class(films, found.classes)
    _refuse_shared_patients(films, found.manifest)
    return Dataset(
        classes=found.classes,
        splits=_arranged(films, decoded, left_out),
        kind=_kind(found.folder),
        fingerprint=_fingerprint(films, found.classes),
        manifest=found.manifest,
        splitting=made,
        unplaced=tuple(entry for split, entry in left_out if split is None),
    )


def write_manifest(data: Dataset, path: Path) -> None:
    """Write every film's file, class, split and content, and what else the data's manifest tells, as a manifest.

    Where splits were made, this keeps them: put into the data folder and read instead of it, it gives the same set.
    """
    rows = [
        {"file": name, **data.manifest.get(name, {}), "class": data.classes[label], "split": split, "sha256": digest}
        for split, films in data.splits.items()
        for name, label, digest in zip(films.names, films.labels, films.sha256, strict=True)
    ]
    manifest.write(path, rows)


def patient_of(row: Mapping[str, str]) -> str | None:
    """Return the patient that a manifest's row names, or None where the row says that the patient is not known."""
    return row.get("patient_id") or None if row.get("patient_known", "").lower() not in {"no", "false", "0"} else None


def _judged(found: DatasetFiles, decoded: Decoded) -> tuple[list[_Film], list[_Left]]:
    """Tell films from files that are none."""
    films: list[_Film] = []
    left_out = list(found.left_out)
    splits = found.splits or [""] * len(found.files)
    for file, split, reading in zip(found.files, splits, decoded.readings, strict=True):
        if reading.reason is None:
            films.append(_Film(file, reading.sha256, len(films), split))
        else:
            left_out.append((split or None, LeftOut(file.name, reading.reason)))
    return films, left_out


def _refuse_twins(films: Sequence[_Film], classes: Sequence[str]) -> None:
    """One content belongs to one split and one class: a second split leaks, a second class contradicts."""
    places: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for film in films:
        places[film.sha256][film.split, classes[film.file.label]] = film.name
    twins = [" = ".join(sorted(names.values())) for names in places.values() if len(names) > 1]
    if twins:
        raise DatasetError(f"the same film lies in two splits or classes: {some(twins)}")


def _without_copies(films: Sequence[_Film]) -> tuple[list[_Film], list[_Film]]:
    """Return one film of each content, the first by name, and the others: a copy would count twice."""
    first: dict[str, _Film] = {}
    for film in sorted(films, key=lambda film: film.name):
        first.setdefault(film.sha256, film)
    kept = {film.row for film in first.values()}
    return [film for film in films if film.row in kept], [film for film in films if film.row not in kept]


def _split(
    films: Sequence[_Film], copies: Sequence[_Film], found: DatasetFiles, seed: int
) -> tuple[list[_Film], Splitting]:
    """Give every film a split. What ties a left-out copy, ties the film that stands for it."""
    ties: dict[str, set[str]] = defaultdict(set)
    for film in (*films, *copies):
        row = found.manifest.get(film.name, {})
        patient, group = patient_of(row), row.get("group_id")
        ties[film.sha256] |= {f"patient {patient}"} if patient else set()
        ties[film.sha256] |= {f"group {group}"} if group else set()
    members = [
        Member(
            film.sha256,
            found.classes[film.file.label],
            found.manifest.get(film.name, {}).get("source_repo", ""),
            frozenset(ties[film.sha256]),
        )
        for film in films
    ]
    splits, made = splitting.assign_splits(members, seed)
    return [replace(film, split=split) for film, split in zip(films, splits, strict=True)], made


def _require_every_class(films: Sequence[_Film], classes: Sequence[str]) -> None:
    there = {(film.split, film.file.label) for film in films}
    for split in SPLITS:
        for index, name in enumerate(classes):
            if (split, index) not in there:
                raise DatasetError(f"{split} has no readable film of {name}")


def _refuse_shared_patients(films: Sequence[_Film], rows: Manifest) -> None:
    """The message names films, not patients: it is stored with a retraining run."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for film in films:
        if patient := patient_of(rows.get(film.name, {})):
            found[patient][film.split] = film.name
    shared = [" and ".join(sorted(names.values())) for names in found.values() if len(names) > 1]
    if shared:
        raise DatasetError(f"films of one patient lie in two splits: {some(shared)}")


def _arranged(films: Sequence[_Film], decoded: Decoded, left_out: Sequence[_Left]) -> dict[str, Films]:
    """Return the films of each split, whose pixels lie together."""
    of_split = [[film for film in films if film.split == split] for split in SPLITS]
    pixels = film_cache.arranged(decoded, [np.array([film.row for film in part], np.int64) for part in of_split])
    return {
        split: Films(
            pixels=pixels_of,
            labels=np.array([film.file.label for film in part], np.int64),
            names=tuple(film.name for film in part),
            left_out=tuple(entry for place, entry in left_out if place == split),
            sha256=tuple(film.sha256 for film in part),
        )
        for split, part, pixels_of in zip(SPLITS, of_split, pixels, strict=True)
    }


def _kind(folder: Path) -> Literal["films", "phantoms"]:
    marker = folder / KIND_FILE
    return "phantoms" if marker.is_file() and marker.read_text().strip() == KIND else "films"


def _fingerprint(films: Sequence[_Film], classes: Sequence[str]) -> str:
    lines = sorted(f"{film.split}\t{classes[film.file.label]}\t{film.sha256}\n" for film in films)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
