"""The manifest: a CSV beside the films with each film's patient, source and labels. Opens no film."""

import csv
from collections.abc import Mapping
from pathlib import Path

from model_training.data.class_folders import DatasetError
from worker.errors import RejectedImage
from worker.films.archive import check_path

Manifest = Mapping[str, Mapping[str, str]]


def read(path: Path) -> Manifest:
    """Return the row of each file, by its path below the manifest's folder.

    White space around values is removed; values that a short row lacks are empty.

    Raises:
        DatasetError: the manifest is not CSV in UTF-8 or has no column `file`, or a row names no file, a file outside
            the folder, or the file of another row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, restkey="")
            if "file" not in (table.fieldnames or ()):
                raise DatasetError(f"{path} has no column file")
            rows = [(table.line_num, _stripped(row)) for row in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not CSV in UTF-8") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    by_file: dict[str, Mapping[str, str]] = {}
    for line, row in rows:
        _check(row["file"], f"{path}, line {line}")
        if row["file"] in by_file:
            raise DatasetError(f"{path}, line {line}: {row['file']} already has a row")
        by_file[row["file"]] = row
    return by_file


def _stripped(row: Mapping[str, str | list[str] | None]) -> dict[str, str]:
    return {name: (value or "").strip() for name, value in row.items() if name and not isinstance(value, list)}


def _check(name: str, place: str) -> None:
    if not name:
        raise DatasetError(f"{place} names no file")
    try:
        check_path(name)
    except RejectedImage as error:
        raise DatasetError(f"{place}: {name} is not below the manifest's folder") from error


def patient_of(row: Mapping[str, str]) -> str | None:
    """Return the patient in a manifest's row, or None if the row names none or states that the patient is unknown."""
    return row.get("patient_id") or None if row.get("patient_known", "").lower() not in {"no", "false", "0"} else None
