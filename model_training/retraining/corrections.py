"""Reads the films that clinicians confirmed or corrected, as training films.

Films of patients whose films judge models are left out. The films are read from where they were submitted; those that
cannot be read or must not be used are listed with their reason.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model_training.data.dataset import Dataset, patient_of
from model_training.data.films import OnFilm, Size, ignore, limits_in_force
from model_training.retraining.gate_films import LOCKED, GateFilms
from worker.decoding import Grey, Limits, decode, resize
from worker.errors import RejectedImage, TryAgainLater
from worker.films import archive
from worker.models.documents.retraining import CorrectedFilms
from worker.settings import settings
from worker.studies.reviews import ConfirmedLabel, LeftOutReview

#: Why a confirmed film is left out; `worker.studies.reviews` and `worker.errors` have further reasons.
LOCKED_FILM = "locked_film"  #: It is in validation, test or gate.
LOCKED_PATIENT = "locked_patient"  #: Another film of its patient is there.
UNKNOWN_CLASS = "unknown_class"  #: The training set has no such class.
NOT_AVAILABLE = "not_available"  #: The place from which it was submitted does not respond.


@dataclass(frozen=True)
class CorrectedFilm:
    """One confirmed film with its pixels."""

    label: ConfirmedLabel
    #: uint8, shape (height, width).
    film: Grey = field(repr=False)

    @property
    def name(self) -> str:
        """Name among the training films."""
        return f"corrected/{self.label.sha256}"


@dataclass(frozen=True)
class Corrections:
    """The confirmed films that are used, and those that are left out."""

    #: Sorted by the SHA-256 of the content.
    films: tuple[CorrectedFilm, ...]
    left_out: tuple[LeftOutReview, ...]

    def summary(self) -> CorrectedFilms:
        """Return the part of `learned_from` about confirmed films."""
        return CorrectedFilms(
            films=tuple((film.label.image_id, film.label.finding) for film in self.films),
            by_finding=dict(sorted(Counter(film.label.finding for film in self.films).items())),
            left_out=tuple((entry.image_id, entry.reason) for entry in self.left_out),
            left_out_reasons=dict(sorted(Counter(entry.reason for entry in self.left_out).items())),
        )


@dataclass(frozen=True)
class _Locked:
    """The films that judge models, and their patients."""

    contents: frozenset[str]
    patients: frozenset[str]
    #: SHA-256 of their pixels at the network's size, because the same film may come in another file.
    pixels: frozenset[bytes]


def read(  # noqa: PLR0913 - the confirmed films, the locked ones, and how to read
    labels: Sequence[ConfirmedLabel],
    contents_by_patient: Mapping[str, set[str]],
    *,
    data: Dataset,
    gate: GateFilms,
    size: Size,
    on_film: OnFilm = ignore,
) -> Corrections:
    """Return the confirmed films from which a network may learn.

    Args:
        labels: as `worker.studies.reviews.confirmed_labels` returns them.
        contents_by_patient: SHA-256 of each patient's films. If one film is locked, so are all films of its patient.
        data: the base set.
        gate: the gate's films.
        size: height and width in pixels to which every film is resized.
        on_film: called with the number of films read and of all films.
    """
    locked = _locked(data, gate, size)
    films: list[CorrectedFilm] = []
    left_out: list[LeftOutReview] = []
    limits, roots = limits_in_force(), settings().roots
    for done, label in enumerate(sorted(labels, key=lambda label: label.sha256), start=1):
        reason = _reason_against(label, contents_by_patient.get(label.patient, set()), data, locked)
        film = _read_film(label, roots, limits, size) if reason is None else reason
        if not isinstance(film, str) and _digest(film) in locked.pixels:
            film = LOCKED_FILM
        if isinstance(film, str):
            left_out.append(LeftOutReview(label.image_id, film))
        else:
            films.append(CorrectedFilm(label, film))
        on_film(done, len(labels))
    return Corrections(tuple(films), tuple(left_out))


def _locked(data: Dataset, gate: GateFilms, size: Size) -> _Locked:
    splits = [data.splits[split] for split in LOCKED]
    rows = [data.manifest.get(name, {}) for films in splits for name in films.names]
    return _Locked(
        frozenset(digest for films in splits for digest in films.sha256) | frozenset(gate.sha256),
        frozenset(patient for patient in (*map(patient_of, rows), *gate.patients) if patient),
        frozenset(_digests(part for films in splits for part in films.pixels)) | frozenset(_digests(gate.pixels(size))),
    )


def _digests(films: Iterable[Grey]) -> Iterable[bytes]:
    return (_digest(film) for film in films)


def _digest(film: Grey) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(film).data).digest()


def _reason_against(label: ConfirmedLabel, of_patient: set[str], data: Dataset, locked: _Locked) -> str | None:
    if label.finding not in data.classes:
        return UNKNOWN_CLASS
    if label.sha256 in locked.contents:
        return LOCKED_FILM
    # A base set may name a patient as the sender does, or with the sender's name in front.
    names = {label.patient, label.patient.partition("/")[2]}
    return LOCKED_PATIENT if names & locked.patients or of_patient & locked.contents else None


def _read_film(label: ConfirmedLabel, roots: Mapping[str, Path], limits: Limits, size: Size) -> Grey | str:
    """Return the film at the network's size, or why it cannot be read."""
    try:
        data = archive.read_verified(label.root, label.path, label.sha256, roots, limits.max_bytes)
        return resize(decode(data, limits), size)
    except RejectedImage as rejection:
        return rejection.reason.value
    except TryAgainLater:
        return NOT_AVAILABLE
