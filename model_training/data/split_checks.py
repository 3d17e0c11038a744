"""Checks train, validation and test, so that figures on the test split can be believed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from model_training.data.class_folders import DatasetError, FilmFile
from model_training.data.formats import SPLITS, shortened
from model_training.data.manifest import Manifest, patient_of


@dataclass(frozen=True)
class PlacedFilm:
    """A readable film."""

    file: FilmFile
    sha256: str
    #: Row of its pixels among all decoded films.
    row: int
    #: Empty until a split is assigned.
    split: str

    @property
    def name(self) -> str:
        """The file's path below its folder."""
        return self.file.name


def require_one_place_each(films: Sequence[PlacedFilm], classes: Sequence[str]) -> None:
    """Check that each content is in one split (otherwise test films leak into training) and has one class.

    Raises:
        DatasetError: a content is in two splits or classes.
    """
    places: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for film in films:
        places[film.sha256][film.split, classes[film.file.label]] = film.name
    twins = [" = ".join(sorted(names.values())) for names in places.values() if len(names) > 1]
    if twins:
        raise DatasetError(f"the same film is in two splits or classes: {shortened(twins)}")


def require_every_class(films: Sequence[PlacedFilm], classes: Sequence[str]) -> None:
    """Check that each split has a readable film of every class.

    Raises:
        DatasetError: a split has none of a class.
    """
    present = {(film.split, film.file.label) for film in films}
    for split in SPLITS:
        for index, name in enumerate(classes):
            if (split, index) not in present:
                raise DatasetError(f"{split} has no readable film of {name}")


def require_separate_patients(films: Sequence[PlacedFilm], rows: Manifest) -> None:
    """Check that no patient is in two splits.

    Raises:
        DatasetError: a patient is. The message is stored, so it names films and no patient.
    """
    by_patient: dict[str, dict[str, str]] = defaultdict(dict)
    for film in films:
        if patient := patient_of(rows.get(film.name, {})):
            by_patient[patient][film.split] = film.name
    shared = [" and ".join(sorted(names.values())) for names in by_patient.values() if len(names) > 1]
    if shared:
        raise DatasetError(f"films of one patient are in two splits: {shortened(shared)}")
