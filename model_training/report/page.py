"""Writes a report as a page that loads only files from the folder beside it: no script, no inline style, no other host.

The page shows what the report has. Only sums and shares of its counts are computed here.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from model_training.data.dataset import SPLITS
from model_training.report import figure_captions, figures, formatting
from model_training.report.thumbnails import THUMBNAILS_DIR, error_file, sample_files
from model_training.training.predictions import Predictions
from worker import NOTICE
from worker.models.documents.card import ModelCard
from worker.models.documents.evaluation import CLASS_COLUMNS
from worker.models.documents.report import DataSummary, Report

PAGE_FILE = "report.html"
STYLE_FILE = "report.css"
TEMPLATES = Path(__file__).parent / "templates"


def folder_of(path: Path) -> Path:
    """Return the folder that belongs to a page."""
    return path.with_name(f"{path.stem}_files")


def write(
    report: Report,
    path: Path,
    *,
    predictions: Mapping[str, Predictions],
    card: ModelCard | None = None,
    thumbnails: Path | None = None,
) -> None:
    """Write a page, and beside it a folder with its style, its figures and its thumbnails, if there are any.

    Args:
        report: the report of a run, or one that has an evaluation as its `test`.
        path: the path of the page; the folder beside it is named after it.
        predictions: the network's predictions for the split `test`, for the curves; may be empty.
        card: the card of the model, if there is one.
        thumbnails: the run's folder of thumbnails.
    """
    folder = folder_of(path)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = figures.draw_all(report, folder, predictions)
    pictures = folder / THUMBNAILS_DIR
    if thumbnails is not None and thumbnails.is_dir() and thumbnails != pictures:
        shutil.copytree(thumbnails, pictures, dirs_exist_ok=True)
    shutil.copyfile(TEMPLATES / STYLE_FILE, folder / STYLE_FILE)
    shown = {file.name for file in pictures.glob("*.png")} if thumbnails is not None else set()
    path.write_text(_page(report, card, f"{folder.name}/", drawn, shown), encoding="utf-8")


def publish(report: Report, directory: Path, card: ModelCard | None = None) -> None:
    """Draw the figures and write the page into a run's own directory; it names films and shows none."""
    drawn = figures.draw_all(report, directory)
    shutil.copyfile(TEMPLATES / STYLE_FILE, directory / STYLE_FILE)
    (directory / PAGE_FILE).write_text(_page(report, card, "", drawn, set()), encoding="utf-8")


def _page(
    report: Report,
    card: ModelCard | None,
    prefix: str,
    drawn: Sequence[str],
    shown: set[str],
) -> str:
    environment = Environment(
        loader=PackageLoader("model_training.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = ("share", "interval", "with_interval", "per_cent", "p_value", "count", "signed")
    environment.filters |= {name: getattr(formatting, name) for name in formats}
    environment.filters |= {"of_rows": _of_rows, "of_columns": _of_columns}
    return environment.get_template("report.html").render(
        report=report,
        notice=NOTICE,
        card=card,
        class_columns=CLASS_COLUMNS,
        prefix=prefix,
        splits=SPLITS,
        described={file: (figure_captions.title(file), figure_captions.described(file, report)) for file in drawn},
        origins=_all_origins(report.data),
        pictures=shown,
        thumbnails=f"{prefix}{THUMBNAILS_DIR}/",
        error_file=error_file,
        sample_files=sample_files,
    )


def _all_origins(data: DataSummary | None) -> dict[str, list[tuple[str, dict[str, list[int]], int]]]:
    counts = {"sources": data.sources, "label_sources": data.label_sources} if data else {}
    return {key: _origins(of_split) for key, of_split in counts.items() if of_split is not None}


def _of_rows(table: Sequence[Sequence[int]]) -> list[list[float | None]]:
    """Return each count's share of its row, the films that were given this name."""
    return [[_ratio(cell, sum(row)) for cell in row] for row in table]


def _of_columns(table: Sequence[Sequence[int]]) -> list[list[float | None]]:
    """Return each count's share of its column, the films of the reference class."""
    totals = [sum(column) for column in zip(*table, strict=True)]
    return [[_ratio(cell, total) for cell, total in zip(row, totals, strict=True)] for row in table]


def _origins(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[tuple[str, dict[str, list[int]], int]]:
    """Return (origin, {class: films per split}, films in all) of every origin, the largest first."""
    names = sorted({origin for of_split in counts.values() for origin in of_split})
    rows = []
    for origin in names:
        classes = dict.fromkeys(name for of_split in counts.values() for name in of_split.get(origin, {}))
        films = {name: [counts[split].get(origin, {}).get(name, 0) for split in SPLITS] for name in classes}
        rows.append((origin, films, sum(map(sum, films.values()))))
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
