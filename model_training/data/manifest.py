"""The table beside the films: whose film each is, where it comes from, what it shows. Opens no film."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from model_training.data.class_folders import DatasetError
from worker.errors import RejectedImage
from worker.films.archive import check_path

Manifest = Mapping[str, Mapping[str, str]]


def read(path: Path) -> Manifest:
    """Return the row of each file, by its path below the manifest's folder.

    Values lose the white space around them; a value that a short row lacks is empty.

    Raises:
        DatasetError: the file is no CSV in UTF-8, has no column `file`, a row without a file, a file outside the
            folder or one file twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, restkey="")
            if "file" not in (table.fieldnames or ()):
                raise DatasetError(f"{path} has no column file")
            rows = [(table.line_num, _stripped(row)) for row in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is no CSV in UTF-8") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    found: dict[str, Mapping[str, str]] = {}
    for line, row in rows:
        _check(row["file"], f"{path}, line {line}")
        if row["file"] in found:
            raise DatasetError(f"{path}, line {line}: {row['file']} has a row already")
        found[row["file"]] = row
    return found


def _stripped(row: Mapping[str, str | list[str] | None]) -> dict[str, str]:
    return {name: (value or "").strip() for name, value in row.items() if name and not isinstance(value, list)}


def _check(name: str, place: str) -> None:
    if not name:
        raise DatasetError(f"{place} names no file")
    try:
        check_path(name)
    except RejectedImage as error:
        raise DatasetError(f"{place}: {name} does not lie below the manifest's folder") from error


def write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write rows as a manifest: their columns in the order of their first appearance, what a row lacks is empty."""
    table = list(rows)
    columns = dict.fromkeys(name for row in table for name in row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
