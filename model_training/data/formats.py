"""The formats of a training set: split folders, a manifest, or class folders alone.

Lists the files and what is known of them before they are read. Opens no film.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model_training.data import manifest
from model_training.data.class_folders import (
    DatasetError,
    FilmFile,
    LeftOut,
    Listing,
    class_folders,
    holds,
    list_films,
    strays,
)
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


@dataclass(frozen=True)
class LabelledFiles:
    """Files with a class each, for an evaluation."""

    #: The films' names are paths below it.
    folder: Path
    listing: Listing
    #: What a manifest states of each film, by name; empty without one.
    manifest: Manifest


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


def find_films_to_evaluate(data: Path, classes: Sequence[str]) -> LabelledFiles:
    """Return the labelled files on which a model is evaluated.

    Args:
        data: a folder of split folders, whose `test` is taken; a folder of class folders, with a manifest in it or
            beside it that may say more of its films; or a manifest, or a folder with one, that gives the classes
            itself. If such a manifest gives splits, its rows of `test` are taken.
        classes: the model's classes; the data may have fewer, but no others.

    Raises:
        DatasetError: the data have none of these formats, or a class that the model does not have; or the manifest
            contradicts itself.
    """
    if data.is_file():
        return _listed(data, classes)
    if not data.is_dir():
        raise DatasetError(f"{data} is neither a folder nor a manifest")
    root = data / "test" if (data / "test").is_dir() else data
    if root == data and (data / MANIFEST_FILE).is_file() and not set(class_folders(data)) & set(classes):
        return _listed(data / MANIFEST_FILE, classes)
    listing = list_films(data, root, classes)
    return LabelledFiles(data, listing, _rows_of(data.resolve(), [file.name for file in listing.files]))


def _listed(path: Path, classes: Sequence[str]) -> LabelledFiles:
    found = _of_manifest(path, min_classes=1)
    if strange := sorted(set(found.classes) - set(classes)):
        raise DatasetError(f"{path} holds {', '.join(strange)}; the classes are {', '.join(classes)}")
    splits = found.splits or ["test"] * len(found.files)
    files = [
        replace(file, label=classes.index(found.classes[file.label]))
        for file, split in zip(found.files, splits, strict=True)
        if split == "test"
    ]
    if not files:
        raise DatasetError(f"{path} has no film of the split test")
    return LabelledFiles(found.folder, Listing(tuple(files)), found.manifest)


def _rows_of(folder: Path, names: Sequence[str]) -> Manifest:
    """Return the rows of these films of a manifest in the folder, or else of one beside it, by their names below it."""
    for root, prefix in ((folder, ""), (folder.parent, f"{folder.name}/")):
        path = root / MANIFEST_FILE
        if path.is_file():
            rows = manifest.read(path)
            present = {name: rows[prefix + name] for name in names if prefix + name in rows}
            if present or not prefix:
                return present
    return {}


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


def _of_manifest(path: Path, *, min_classes: int = MIN_CLASSES) -> DatasetFiles:
    table, folder = manifest.read(path), path.parent
    if without := sorted(name for name, row in table.items() if not row.get("class")):
        raise DatasetError(f"{path} gives no class for {shortened(without)}")
    classes = tuple(sorted({row["class"] for row in table.values()}))
    if len(classes) < min_classes:
        raise DatasetError(f"{path} needs films of at least {'two classes' if min_classes > 1 else 'one class'}")
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
