"""Folders of films become arrays: train, validation and test with a folder per class, read as the worker reads them.

Refuses what would make a report flatter: a film or a patient in two splits, a class without films. Knows no network.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model_training.films import DatasetError, Films, LeftOut, OnFilm, Size, class_folders, films_of, ignore, listed
from worker.phantoms import KIND, KIND_FILE

SPLITS = ("train", "validation", "test")
MANIFEST_FILE = "manifest.csv"
#: How many names an error lists before it says "and others".
NAMED_IN_ERRORS = 3

Manifest = Mapping[str, Mapping[str, str]]


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

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of films per split and class."""
        return {
            split: {name: int((films.labels == index).sum()) for index, name in enumerate(self.classes)}
            for split, films in self.splits.items()
        }

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Every file that is no readable film."""
        return tuple(entry for films in self.splits.values() for entry in films.left_out)


def _continued(on_film: OnFilm, before: int, total: int) -> OnFilm:
    """Return an `on_film` for one split that counts over all of them."""
    return lambda done, _: on_film(before + done, total)


def read(folder: Path, size: Size, on_film: OnFilm = ignore) -> Dataset:
    """Read a training set.

    Args:
        folder: holds train, validation and test, each with a folder per class; `manifest.csv` beside them is used.
        size: height and width in pixels to which every film is resized.
        on_film: told after each file how many of how many are read.

    Raises:
        DatasetError: a folder or a class is missing, or a film or a patient is in two splits.
    """
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise DatasetError(f"{folder} has no folder {split}")
    classes = class_folders(folder / "train")
    if len(classes) < 2:  # noqa: PLR2004
        raise DatasetError(f"{folder / 'train'} needs at least two class folders")
    files_of = {split: listed(folder / split, classes) for split in SPLITS}
    total, before = sum(len(files) for files in files_of.values()), 0
    splits = {}
    for split, files in files_of.items():
        splits[split] = films_of(folder, files, size, _continued(on_film, before, total))
        before += len(files)
        for index in set(range(len(classes))) - set(splits[split].labels.tolist()):
            raise DatasetError(f"{split} has no readable film of {classes[index]}")
    manifest = _manifest(folder)
    _refuse_twins(splits, classes)
    _refuse_shared_patients(splits, manifest)
    return Dataset(classes, splits, _kind(folder), _fingerprint(splits, classes), manifest)


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if "file" not in (rows.fieldnames or ()):
            raise DatasetError(f"{path} has no column file")
        return {row["file"]: row for row in rows}


def _kind(folder: Path) -> Literal["films", "phantoms"]:
    marker = folder / KIND_FILE
    return "phantoms" if marker.is_file() and marker.read_text().strip() == KIND else "films"


def _refuse_twins(splits: Mapping[str, Films], classes: Sequence[str]) -> None:
    """One content belongs to one split and one class: a second split leaks, a second class contradicts."""
    places: dict[str, dict[tuple[str, str], str]] = {}
    for split, films in splits.items():
        for name, label, digest in zip(films.names, films.labels, films.sha256, strict=True):
            places.setdefault(digest, {})[split, classes[label]] = name
    twins = [" = ".join(sorted(names.values())) for names in places.values() if len(names) > 1]
    if twins:
        raise DatasetError(f"the same film lies in two splits or classes: {_some(twins)}")


def patient_of(row: Mapping[str, str]) -> str | None:
    """Return the patient that a manifest's row names, or None where the patient is not known."""
    return row.get("patient_id") or None if row.get("patient_known", "yes") == "yes" else None


def _refuse_shared_patients(splits: Mapping[str, Films], manifest: Manifest) -> None:
    """The message names films, not patients: it is stored with a retraining run."""
    found: dict[str, dict[str, str]] = {}
    for split, films in splits.items():
        for name in films.names:
            if patient := patient_of(manifest.get(name, {})):
                found.setdefault(patient, {})[split] = name
    shared = [" and ".join(sorted(names.values())) for names in found.values() if len(names) > 1]
    if shared:
        raise DatasetError(f"films of one patient lie in two splits: {_some(shared)}")


def _fingerprint(splits: Mapping[str, Films], classes: Sequence[str]) -> str:
    lines = sorted(
        f"{split}\t{classes[label]}\t{digest}\n"
        for split, films in splits.items()
        for label, digest in zip(films.labels, films.sha256, strict=True)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _some(names: Sequence[str]) -> str:
    rest = len(names) - NAMED_IN_ERRORS
    return "; ".join(names[:NAMED_IN_ERRORS]) + (f"; and {rest} others" if rest > 0 else "")
