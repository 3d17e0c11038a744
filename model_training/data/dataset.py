"""Reads a data set with the splits train, validation and test, and decodes its films as the worker does.

Rejects data that would give misleading results: a film or a patient in two splits, or a class without films. Data
without splits are split by patient.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from model_training.data import film_cache, splitting
from model_training.data.class_folders import DUPLICATE, LeftOut
from model_training.data.decoded_sets import Decoded
from model_training.data.films import Films, OnFilm, Size, ignore
from model_training.data.formats import MANIFEST_FILE, SPLITS, DatasetFiles, find_files
from model_training.data.manifest import Manifest, patient_of
from model_training.data.split_checks import (
    PlacedFilm,
    require_every_class,
    require_one_place_each,
    require_separate_patients,
)
from model_training.data.splitting import SplitFilm, Splitting
from worker.films.phantoms import KIND, KIND_FILE

__all__ = ["MANIFEST_FILE", "SPLITS", "Dataset", "Manifest", "patient_of", "read"]


@dataclass(frozen=True)
class Dataset:
    """A data set with its decoded films."""

    classes: tuple[str, ...]
    #: Films of each split in `SPLITS`.
    splits: Mapping[str, Films]
    kind: Literal["films", "phantoms"]
    #: SHA-256 over the (split, class, content) of every film.
    fingerprint: str
    #: The manifest's row of each film, by name; empty without a manifest.
    manifest: Manifest
    #: How the splits were made; None if the data have their own.
    splitting: Splitting | None = None
    #: Files that were left out of data without splits.
    unplaced: tuple[LeftOut, ...] = ()

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of films for each split and class."""
        return {
            split: {name: int((films.labels == index).sum()) for index, name in enumerate(self.classes)}
            for split, films in self.splits.items()
        }

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Every file that is not a readable film or is a copy of another one."""
        return (*(entry for films in self.splits.values() for entry in films.left_out), *self.unplaced)


#: A file that is left out, with its split or None.
_LeftOutOf = tuple[str | None, LeftOut]


def read(data: Path, size: Size, on_film: OnFilm = ignore, *, split_seed: int = 0) -> Dataset:
    """Read a data set, and split it by patient if it has no splits.

    Args:
        data: one of three: a folder with train, validation and test, each with a folder per class, and optionally
            `manifest.csv` beside them; a manifest, or a folder with `manifest.csv`, whose rows give file, class and
            optionally split; a folder of class folders.
        size: height and width in pixels to which every film is resized.
        on_film: called with the number of files read and of all files.
        split_seed: seed of the splits if they are made here. It differs from the seed of the training, so that
            trainings with several seeds are compared on the same films.

    Raises:
        DatasetError: a folder, a file or a class is missing, a manifest contradicts itself or the folders, or a film
            or a patient is in two splits.
    """
    files = find_files(data)
    decoded = film_cache.decode([(file.name, file.path) for file in files.files], size, on_film)
    films, left_out = _readable_films(files, decoded)
    require_one_place_each(films, files.classes)
    films, copies = _without_copies(films)
    left_out += [(copy.split or None, LeftOut(copy.name, DUPLICATE)) for copy in copies]
    splitting_made = None
    if not files.splits:
        films, splitting_made = _split(films, copies, files, split_seed)
    require_every_class(films, files.classes)
    require_separate_patients(films, files.manifest)
    return Dataset(
        classes=files.classes,
        splits=_by_split(films, decoded, left_out),
        kind=_kind(files.folder),
        fingerprint=_fingerprint(films, files.classes),
        manifest=files.manifest,
        splitting=splitting_made,
        unplaced=tuple(entry for split, entry in left_out if split is None),
    )


def _readable_films(files: DatasetFiles, decoded: Decoded) -> tuple[list[PlacedFilm], list[_LeftOutOf]]:
    """Separate the films from files that are not readable films."""
    films: list[PlacedFilm] = []
    left_out = list(files.left_out)
    splits = files.splits or [""] * len(files.files)
    for file, split, reading in zip(files.files, splits, decoded.readings, strict=True):
        if reading.reason is None:
            films.append(PlacedFilm(file, reading.sha256, len(films), split))
        else:
            left_out.append((split or None, LeftOut(file.name, reading.reason)))
    return films, left_out


def _without_copies(films: Sequence[PlacedFilm]) -> tuple[list[PlacedFilm], list[PlacedFilm]]:
    """Return the first film of each content by name, and the copies, which would otherwise count twice."""
    first: dict[str, PlacedFilm] = {}
    for film in sorted(films, key=lambda film: film.name):
        first.setdefault(film.sha256, film)
    rows = {film.row for film in first.values()}
    return [film for film in films if film.row in rows], [film for film in films if film.row not in rows]


def _split(
    films: Sequence[PlacedFilm], copies: Sequence[PlacedFilm], files: DatasetFiles, seed: int
) -> tuple[list[PlacedFilm], Splitting]:
    """Assign a split to every film. The patient and group of a copy also count for the film that is used."""
    ties: dict[str, set[str]] = defaultdict(set)
    for film in (*films, *copies):
        row = files.manifest.get(film.name, {})
        patient, group = patient_of(row), row.get("group_id")
        ties[film.sha256] |= {f"patient {patient}"} if patient else set()
        ties[film.sha256] |= {f"group {group}"} if group else set()
    split_films = [
        SplitFilm(
            film.sha256,
            files.classes[film.file.label],
            files.manifest.get(film.name, {}).get("source_repo", ""),
            frozenset(ties[film.sha256]),
        )
        for film in films
    ]
    splits, splitting_made = splitting.assign_splits(split_films, seed)
    return [replace(film, split=split) for film, split in zip(films, splits, strict=True)], splitting_made


def _by_split(films: Sequence[PlacedFilm], decoded: Decoded, left_out: Sequence[_LeftOutOf]) -> dict[str, Films]:
    """Return the films of each split; the pixels of a split are contiguous."""
    of_split = [[film for film in films if film.split == split] for split in SPLITS]
    pixels = film_cache.regroup(decoded, [np.array([film.row for film in part], np.int64) for part in of_split])
    return {
        split: Films(
            pixels=pixels_of_split,
            labels=np.array([film.file.label for film in part], np.int64),
            names=tuple(film.name for film in part),
            left_out=tuple(entry for left_out_of, entry in left_out if left_out_of == split),
            sha256=tuple(film.sha256 for film in part),
        )
        for split, part, pixels_of_split in zip(SPLITS, of_split, pixels, strict=True)
    }


def _kind(folder: Path) -> Literal["films", "phantoms"]:
    marker = folder / KIND_FILE
    return "phantoms" if marker.is_file() and marker.read_text().strip() == KIND else "films"


def _fingerprint(films: Sequence[PlacedFilm], classes: Sequence[str]) -> str:
    lines = sorted(f"{film.split}\t{classes[film.file.label]}\t{film.sha256}\n" for film in films)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
