"""A model directory: the network's file, its card and its report, published in one step and verified by SHA-256.

Does not import the tables, and loads no network.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path

from worker.errors import ModelUnavailable, UnreadableDocument
from worker.models.documents.card import ModelCard
from worker.models.documents.report import Report
from worker.storage import atomic_files, disk

MODEL_FILE = "model.keras"
CARD_FILE = "card.json"
REPORT_FILE = "report.json"
#: An unfinished directory of this age belongs to a process that was killed.
ABANDONED_SECONDS = 3600
#: The models of a new installation: our best network on real films, the paper's network on the same films, and one
#: for drawn phantoms.
SHIPPED_DIR = Path(__file__).parent.parent / "shipped"
SHIPPED_FILMS = SHIPPED_DIR / "films"
SHIPPED_PAPER = SHIPPED_DIR / "v3"
SHIPPED_PHANTOMS = SHIPPED_DIR / "phantoms"
SHIPPED = (SHIPPED_FILMS, SHIPPED_PAPER, SHIPPED_PHANTOMS)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(directory: Path) -> ModelCard:
    """Return the card of a model directory.

    Raises:
        ModelUnavailable: there is no card, or the file holds something else.
    """
    try:
        return ModelCard.model_validate_json((directory / CARD_FILE).read_bytes())
    except (OSError, ValueError) as error:
        message = f"no readable {CARD_FILE} in {directory}"
        raise ModelUnavailable(message) from error


def read_report(directory: Path) -> Report:
    """Return the evaluation report of a model directory; an empty one if the model has none.

    Raises:
        UnreadableDocument: the file holds something else.
    """
    path = directory / REPORT_FILE
    if not path.is_file():
        return Report()
    try:
        return Report.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UnreadableDocument(f"no readable {REPORT_FILE} in {directory}") from error


def verified(directory: Path, registered: ModelCard | None = None) -> tuple[Path, ModelCard]:
    """Return the network's file and its card after checking both.

    Args:
        directory: a model directory.
        registered: the card in the registry, which the card on disk must equal in everything that decides an answer;
            None if the directory is not registered, so that its own card is believed.

    Raises:
        ModelUnavailable: a file is missing, or differs from the published one.
    """
    card = read_card(directory)
    if registered is not None and card.deciding != registered.deciding:
        raise ModelUnavailable(f"{directory / CARD_FILE} is not the card that was registered")
    path = directory / MODEL_FILE
    if not path.is_file():
        message = f"{directory} has no {MODEL_FILE}"
        raise ModelUnavailable(message)
    digest = sha256_of(path)
    if digest != card.sha256:
        message = f"{path} is not the file that was published: its SHA-256 is {digest}"
        raise ModelUnavailable(message)
    return path, card


def write_card(directory: Path, card: ModelCard, report: Report) -> None:
    """Write the card and the report beside a network's file."""
    (directory / CARD_FILE).write_text(json.dumps(card.stored(), indent=2, allow_nan=False) + "\n")
    (directory / REPORT_FILE).write_text(json.dumps(report.stored(), indent=1, allow_nan=False) + "\n")


def publish(directory: Path, models_dir: Path) -> Path:
    """Copy a finished model directory to `models_dir/<version>` and return the copy.

    The copy is written under another name, flushed to disk and renamed, so readers never see half a directory. A
    version that is published already is not written again.

    Raises:
        ModelUnavailable: the network's file differs from the one on the card, or the published version from this one.
        NotStored: the disk is full, read-only or broken.
    """
    _, card = verified(directory)
    target = models_dir / card.version
    if target.is_dir():
        verified(target, card)
        return target
    with disk.storing(f"the model version {card.version}"):
        _copy(directory, target)
    return target


def _copy_file(source: str, target: str) -> None:
    """Copy a file for `shutil.copytree`, which would report an OSError with the others at the end, without its code."""
    with disk.storing("a file of a model version"):
        shutil.copy2(source, target)


def _copy(directory: Path, target: Path) -> None:
    """Copy a model directory to a path where nothing is."""
    models_dir = target.parent
    models_dir.mkdir(parents=True, exist_ok=True)
    for abandoned in models_dir.glob(f"{atomic_files.STAGING}*"):
        with contextlib.suppress(FileNotFoundError):  # Another process has finished it or deleted it.
            if time.time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(abandoned, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=atomic_files.STAGING, dir=models_dir))
    try:
        copy = staging / target.name
        shutil.copytree(directory, copy, copy_function=_copy_file)
        atomic_files.rename_directory(copy, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
