"""The training set of a retraining run: the base set without the gate's films, plus films that clinicians confirmed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_training.data import film_cache
from model_training.data.class_folders import DatasetError
from model_training.data.dataset import Dataset, read
from model_training.data.films import Films, OnFilm, Size, ignore
from model_training.retraining import corrections, gate_films
from model_training.retraining.corrections import CorrectedFilm, Corrections
from model_training.retraining.gate_films import GateFilms
from worker.database import reading, through_outages
from worker.decoding import Grey
from worker.models.documents.retraining import LearnedFrom
from worker.studies import reviews
from worker.studies.reviews import ConfirmedLabel, LeftOutReview

#: Source of the confirmed films in the manifest.
SOURCE = "reviews"


@dataclass(frozen=True)
class TrainingSet:
    """The training set of one run."""

    data: Dataset
    gate: GateFilms
    #: Counts, fingerprints, and the confirmed films that are used or left out; stored with the run and the verdict.
    learned_from: LearnedFrom


def prepare(
    data: Path, size: Size, *, seed: int, resumed_from: LearnedFrom | None, on_film: OnFilm = ignore
) -> TrainingSet:
    """Read the base set, set the gate's films apart and add the films that clinicians confirmed.

    Args:
        data: as for `model_training.data.dataset.read`.
        size: height and width in pixels.
        seed: seed of the splits and of the gate, if they are made here.
        resumed_from: `learned_from` of an interrupted run, which continues with the same films as far as their reviews
            are still valid. None: a new run.
        on_film: called with the number of files read and of all files.

    Raises:
        DatasetError: the data cannot be trained on.
    """
    base = read(data, size, on_film, split_seed=seed)
    gate, remaining = gate_films.set_gate_apart(base, data if data.is_dir() else data.parent, size, seed)
    _require_every_class(base, remaining)
    labels, left_out, contents = _confirmed()
    if resumed_from is not None:
        earlier = set(resumed_from.corrections.films)
        labels = [label for label in labels if (label.image_id, label.finding) in earlier]
    confirmed = corrections.read(labels, contents, data=base, gate=gate, size=size, on_film=on_film)
    confirmed = replace(confirmed, left_out=(*left_out, *confirmed.left_out))
    data_set = _with(base, remaining, confirmed.films, size)
    return TrainingSet(data_set, gate, _learned_from(data_set, gate, confirmed))


@through_outages
def _confirmed() -> tuple[list[ConfirmedLabel], list[LeftOutReview], Mapping[str, set[str]]]:
    with reading() as session:
        return *reviews.confirmed_labels(session), reviews.contents_by_patient(session)


def _require_every_class(data: Dataset, remaining: npt.NDArray[np.bool_]) -> None:
    left = set(data.splits["train"].labels[remaining].tolist())
    if missing := [name for index, name in enumerate(data.classes) if index not in left]:
        raise DatasetError(f"without the gate's films train has none of {', '.join(missing)}; provide a folder gate")


def _with(base: Dataset, remaining: npt.NDArray[np.bool_], corrected: Sequence[CorrectedFilm], size: Size) -> Dataset:
    """Return the base set with the gate's films removed from `train` and the corrected films added.

    A film of `train` that was corrected has its corrected class.
    """
    train, contents = base.splits["train"], {film.label.sha256 for film in corrected}
    remaining_rows = [row for row in np.flatnonzero(remaining).tolist() if train.sha256[row] not in contents]
    if not corrected and len(remaining_rows) == len(train):
        return base
    sha256 = (*(train.sha256[row] for row in remaining_rows), *(film.label.sha256 for film in corrected))

    def films() -> Iterator[Grey]:
        yield from (train.pixels[row] for row in remaining_rows)
        yield from (film.film for film in corrected)

    train_films = Films(
        pixels=film_cache.cache_films(films(), sha256, size),
        labels=np.concatenate(
            [
                train.labels[remaining_rows],
                np.array([base.classes.index(film.label.finding) for film in corrected], np.int64),
            ]
        ),
        names=(*(train.names[row] for row in remaining_rows), *(film.name for film in corrected)),
        left_out=train.left_out,
        sha256=sha256,
    )
    rows = {film.name: {"patient_id": film.label.patient, "source_repo": SOURCE} for film in corrected}
    splits = {**base.splits, "train": train_films}
    return replace(
        base,
        splits=splits,
        manifest={**base.manifest, **rows} if base.manifest else {},
        fingerprint=_fingerprint(splits, base.classes),
    )


def _fingerprint(splits: Mapping[str, Films], classes: Sequence[str]) -> str:
    return gate_films.fingerprint(
        (f"{split}\t{classes[label]}", digest)
        for split, films in splits.items()
        for label, digest in zip(films.labels, films.sha256, strict=True)
    )


def _learned_from(data: Dataset, gate: GateFilms, confirmed: Corrections) -> LearnedFrom:
    return LearnedFrom(
        counts={**data.counts, gate_films.GATE: _per_class(gate)},
        fingerprints=gate_films.fingerprints(data, gate),
        gate="a folder of its own" if gate.own_folder else "set apart from train by patient",
        corrections=confirmed.summary(),
    )


def _per_class(gate: GateFilms) -> dict[str, int]:
    return {name: int((gate.labels == index).sum()) for index, name in enumerate(gate.classes)}
