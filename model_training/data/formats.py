"""The formats of a training set: split folders, a manifest, or class folders alone.

Lists the files and what is known of them before they are read. Opens no film.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model_training.data import manifest
from model_training.data.class_folders import DatasetError, FilmFile, LeftOut, class_folders, holds, list_films, strays
from model_training.data.manifest import Manifest
from model_training.data.splitting import FRACTIONS

SPLITS = tuple(FRACTIONS)
MANIFEST_FILE = "manifest.csv"
MIN_CLASSES = 2
#: How many names an error lists before it says "and others".
NAMED_IN_ERRORS = 3


@dataclass(frozen=True)
class DatasetFiles:
    """The files of a training set."""

    #: The films' names are paths below it.
    folder: Path
    classes: tuple[str, ...]
    #: Sorted by name in every format, so that one set of decoded films serves them all.
    files: tuple[FilmFile, ...]
    #: The split of each file; empty if the data have no splits.
    splits: tuple[str, ...]
    #: The manifest's row of each film, by name; empty without a manifest.
    manifest: Manifest
    #: Files that cannot be films, each with its split or None.
    left_out: tuple[tuple[str | None, LeftOut], ...] = ()


def find_files(data: Path) -> DatasetFiles:
    """Return the files of a folder or a manifest.

    A manifest beside split folders must not contradict them. Without split folders the manifest alone decides: files
    that it does not name are not part of the set.

    Raises:
        DatasetError: the data have none of the formats, a folder or a file is missing, or a manifest contradicts
            itself or the folders.
    """
    if data.is_file():
        return _of_manifest(data)
    if not data.is_dir():
        raise DatasetError(f"{data} is neither a folder nor a manifest")
    if any((data / split).is_dir() for split in SPLITS):
        return _of_split_folders(data)
    if (data / MANIFEST_FILE).is_file():
        return _of_manifest(data / MANIFEST_FILE)
    return _of_class_folders(data)


def shortened(names: Sequence[str]) -> str:
    """Return the first names of a list for an error message, and how many more there are."""
    rest = len(names) - NAMED_IN_ERRORS
    return "; ".join(names[:NAMED_IN_ERRORS]) + (f"; and {rest} others" if rest > 0 else "")


def _of_split_folders(folder: Path) -> DatasetFiles:
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise DatasetError(f"{folder} has no folder {split}")
    classes = class_folders(folder / "train")
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{folder / 'train'} needs at least two class folders")
    listings = {split: list_films(folder, folder / split, classes) for split in SPLITS}
    files = sorted(((split, file) for split in SPLITS for file in listings[split].files), key=lambda pair: pair[1].name)
    left_out = [
        (split, entry) for split in SPLITS for entry in (*listings[split].left_out, *strays(folder, folder / split))
    ]
    table = manifest.read(folder / MANIFEST_FILE) if (folder / MANIFEST_FILE).is_file() else {}
    for split, file in files:
        _require_agreement(table.get(file.name, {}), file.name, split, classes[file.label])
    splits = tuple(split for split, _ in files)
    return DatasetFiles(folder, classes, tuple(file for _, file in files), splits, table, tuple(left_out))


def _require_agreement(row: Mapping[str, str], name: str, split: str, class_name: str) -> None:
    """Check a row against the folders: if they differ, the manifest belongs to another set, or one of them is wrong."""
    for column, place in (("split", split), ("class", class_name)):
        if row.get(column) not in {None, "", place}:
            raise DatasetError(f"{name} is in {place}, but {MANIFEST_FILE} says {row[column]}")


def _of_class_folders(folder: Path) -> DatasetFiles:
    classes = class_folders(folder)
    if not classes:
        raise DatasetError(f"{folder} has no folder train, no class folders and no {MANIFEST_FILE}")
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{folder} needs at least two class folders, or the folders {', '.join(SPLITS)}")
    listing = list_films(folder, folder, classes)
    files = tuple(sorted(listing.files, key=lambda file: file.name))
    return DatasetFiles(folder, classes, files, (), {}, tuple((None, entry) for entry in listing.left_out))


def _of_manifest(path: Path) -> DatasetFiles:
    table, folder = manifest.read(path), path.parent
    if without := sorted(name for name, row in table.items() if not row.get("class")):
        raise DatasetError(f"{path} gives no class for {shortened(without)}")
    classes = tuple(sorted({row["class"] for row in table.values()}))
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{path} needs films of at least two classes")
    if missing := sorted(name for name in table if not holds((folder / name).is_file)):
        raise DatasetError(f"{path} names files that do not exist: {shortened(missing)}")
    names = sorted(table)
    files = tuple(FilmFile(folder / name, name, classes.index(table[name]["class"])) for name in names)
    return DatasetFiles(folder, classes, files, _splits_of(table, names, path), table)


def _splits_of(table: Manifest, names: Sequence[str], path: Path) -> tuple[str, ...]:
    """Return the split of each file, or an empty tuple if no row gives a split."""
    splits = tuple(table[name].get("split", "") for name in names)
    if strange := sorted(set(splits) - {"", *SPLITS}):
        raise DatasetError(f"{path} has the splits {shortened(strange)}; allowed are {', '.join(SPLITS)}")
    if not any(splits):
        return ()
    if without := [name for name, split in zip(names, splits, strict=True) if not split]:
        raise DatasetError(f"{path} gives a split for some films and none for {shortened(without)}")
    return splits
