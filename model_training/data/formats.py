"""The forms in which a training set may come: split folders, a manifest, or class folders alone.

Lists files with what is known of them before they are read; opens no film.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model_training.data import manifest
from model_training.data.class_folders import DatasetError, FilmFile, LeftOut, class_folders, holds, listed, strays
from model_training.data.manifest import Manifest
from model_training.data.splitting import FRACTIONS

SPLITS = tuple(FRACTIONS)
MANIFEST_FILE = "manifest.csv"
MIN_CLASSES = 2
#: How many names an error lists before it says "and others".
NAMED_IN_ERRORS = 3


@dataclass(frozen=True)
class DatasetFiles:
    """What is there to be read."""

    #: Below which the films are named.
    folder: Path
    classes: tuple[str, ...]
    #: Sorted by name, whatever the form: one set of decoded films serves them all.
    files: tuple[FilmFile, ...]
    #: The split of each file; empty where the data have no splits.
    splits: tuple[str, ...]
    #: The manifest's row per film name; empty without a manifest.
    manifest: Manifest
    #: Files that cannot be films, with their split.
    left_out: tuple[tuple[str | None, LeftOut], ...] = ()


def find_files(data: Path) -> DatasetFiles:
    """Return what a folder or a manifest holds.

    Split folders rule over a manifest beside them, which must not contradict them; what no row of a ruling manifest
    names is not part of the set.

    Raises:
        DatasetError: it is none of the forms, a folder or a file is missing, or a manifest contradicts itself.
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


def some(names: Sequence[str]) -> str:
    """Return the first names of a list for an error, and how many there are beyond."""
    rest = len(names) - NAMED_IN_ERRORS
    return "; ".join(names[:NAMED_IN_ERRORS]) + (f"; and {rest} others" if rest > 0 else "")


def _of_split_folders(folder: Path) -> DatasetFiles:
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise DatasetError(f"{folder} has no folder {split}")
    classes = class_folders(folder / "train")
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{folder / 'train'} needs at least two class folders")
    found = {split: listed(folder, folder / split, classes) for split in SPLITS}
    files = sorted(((split, file) for split in SPLITS for file in found[split].files), key=lambda pair: pair[1].name)
    left_out = [
        (split, entry) for split in SPLITS for entry in (*found[split].left_out, *strays(folder, folder / split))
    ]
    table = manifest.read(folder / MANIFEST_FILE) if (folder / MANIFEST_FILE).is_file() else {}
    for split, file in files:
        _require_agreement(table.get(file.name, {}), file.name, split, classes[file.label])
    splits = tuple(split for split, _ in files)
    return DatasetFiles(folder, classes, tuple(file for _, file in files), splits, table, tuple(left_out))


def _require_agreement(row: Mapping[str, str], name: str, split: str, class_name: str) -> None:
    """A manifest that says otherwise than the folders is that of another set, or one of the two is wrong."""
    for column, place in (("split", split), ("class", class_name)):
        if row.get(column) not in {None, "", place}:
            raise DatasetError(f"{name} lies in {place}, but {MANIFEST_FILE} says {row[column]}")


def _of_class_folders(folder: Path) -> DatasetFiles:
    classes = class_folders(folder)
    if not classes:
        raise DatasetError(f"{folder} has no folder train, no class folders and no {MANIFEST_FILE}")
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{folder} needs at least two class folders, or the folders {', '.join(SPLITS)}")
    found = listed(folder, folder, classes)
    files = tuple(sorted(found.files, key=lambda file: file.name))
    return DatasetFiles(folder, classes, files, (), {}, tuple((None, entry) for entry in found.left_out))


def _of_manifest(path: Path) -> DatasetFiles:
    table, folder = manifest.read(path), path.parent
    if without := sorted(name for name, row in table.items() if not row.get("class")):
        raise DatasetError(f"{path} gives no class for {some(without)}")
    classes = tuple(sorted({row["class"] for row in table.values()}))
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"{path} needs films of at least two classes")
    if missing := sorted(name for name in table if not holds((folder / name).is_file)):
        raise DatasetError(f"{path} names files that are not there: {some(missing)}")
    names = sorted(table)
    files = tuple(FilmFile(folder / name, name, classes.index(table[name]["class"])) for name in names)
    return DatasetFiles(folder, classes, files, _splits_of(table, names, path), table)


def _splits_of(table: Manifest, names: Sequence[str], path: Path) -> tuple[str, ...]:
    """Return the split of each file, or nothing where no row gives one."""
    splits = tuple(table[name].get("split", "") for name in names)
    if strange := sorted(set(splits) - {"", *SPLITS}):
        raise DatasetError(f"{path} has the splits {some(strange)}; there are {', '.join(SPLITS)}")
    if not any(splits):
        return ()
    if without := [name for name, split in zip(names, splits, strict=True) if not split]:
        raise DatasetError(f"{path} gives a split for some films and none for {some(without)}")
    return splits
