"""A model on disk: its network's file, its card and its report in one directory, published whole, verified by SHA-256.

Knows no rows; never loads a network.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from worker import atomic_files
from worker.errors import ModelUnavailable

MODEL_FILE = "model.keras"
CARD_FILE = "card.json"
REPORT_FILE = "report.json"
#: An unfinished directory of this age belongs to a process that was killed.
ABANDONED_SECONDS = 3600
#: The models that a new installation starts with: our best on real films, the paper's network on the same films, and
#: one for drawn phantoms.
SHIPPED_DIR = Path(__file__).parent.parent / "shipped"
SHIPPED_FILMS = SHIPPED_DIR / "films"
SHIPPED_PAPER = SHIPPED_DIR / "v3"
SHIPPED_PHANTOMS = SHIPPED_DIR / "phantoms"
SHIPPED = (SHIPPED_FILMS, SHIPPED_PAPER, SHIPPED_PHANTOMS)


class FilmCheckCard(BaseModel):
    """The detector of what is no film of the kind that a model knows; it lies beside the network's file."""

    model_config = ConfigDict(frozen=True)

    #: Of `worker.films.film_check.FILM_CHECK_FILE`.
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: Per split: how many films there were, and how many the detector rejected.
    rejections: dict[str, dict[str, int]]


class ModelCard(BaseModel):
    """What must be known of a network to use it; it travels beside the network's file."""

    model_config = ConfigDict(frozen=True)

    #: `<network>-<first 12 digits of the file's SHA-256>`.
    version: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: The architecture's name, as `thoraq networks` lists it.
    network: str
    #: The findings, in the order of the network's outputs.
    classes: tuple[str, ...]
    #: Height and width of the input in pixels.
    input_size: tuple[int, int]
    #: Copies of the one grey channel that the network expects.
    channels: int
    #: `worker.decoding.PREPROCESSING` with which it was trained.
    preprocessing: str
    trainable_parameters: int
    #: What it learned from: real films, or drawn phantoms. Shown wherever a prediction is.
    trained_on: Literal["films", "phantoms"]
    #: SHA-256 over the exact images, labels and splits.
    data_fingerprint: str
    #: Images per split and class.
    data_counts: dict[str, dict[str, int]]
    seed: int
    epochs: int
    batch_size: int
    #: Every other setting of the training run.
    training: dict[str, Any]
    #: Figures per split, each with its n: {"test": {"n", "accuracy", ...}}.
    metrics: dict[str, dict[str, float | int | None]]
    #: Versions of Python, Keras and the backend that trained it.
    software: dict[str, str]
    trained_at: datetime
    #: None: the model takes whatever the decoder takes.
    film_check: FilmCheckCard | None = None
    #: What a reader must know before believing a figure.
    limits: tuple[str, ...]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(directory: Path) -> ModelCard:
    """Return the card of a model directory.

    Raises:
        ModelUnavailable: there is no card, or it is not one.
    """
    try:
        return ModelCard.model_validate_json((directory / CARD_FILE).read_bytes())
    except (OSError, ValueError) as error:
        message = f"no readable {CARD_FILE} in {directory}"
        raise ModelUnavailable(message) from error


def read_report(directory: Path) -> dict[str, Any]:
    """Return the evaluation report of a model directory; an empty one when it was published without."""
    path = directory / REPORT_FILE
    report: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return report


def verified(directory: Path, sha256: str | None = None) -> tuple[Path, ModelCard]:
    """Return the network's file and its card after checking the file's SHA-256.

    Args:
        directory: a model directory.
        sha256: the digest that the database registered; the card's own when None.

    Raises:
        ModelUnavailable: the file is missing, or is not the one that was published.
    """
    card = read_card(directory)
    path = directory / MODEL_FILE
    if not path.is_file():
        message = f"{directory} has no {MODEL_FILE}"
        raise ModelUnavailable(message)
    found = sha256_of(path)
    if found != card.sha256 or (sha256 is not None and found != sha256):
        message = f"{path} is not the file that was published: its SHA-256 is {found}"
        raise ModelUnavailable(message)
    return path, card


def write_card(directory: Path, card: ModelCard, report: Mapping[str, Any]) -> None:
    """Write the card and the report beside a network's file."""
    (directory / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")
    (directory / REPORT_FILE).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def publish(directory: Path, models_dir: Path) -> Path:
    """Copy a finished model directory to `models_dir/<version>` in one visible step.

    A version that is there already is left as it is. Readers never see half a directory: it is written under
    another name, flushed to disk and renamed.
    """
    _, card = verified(directory)
    target = models_dir / card.version
    if target.is_dir():
        verified(target, card.sha256)
        return target
    models_dir.mkdir(parents=True, exist_ok=True)
    for left in models_dir.glob(f"{atomic_files.STAGING}*"):
        with contextlib.suppress(FileNotFoundError):  # Another that publishes has finished, or cleared it away.
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=atomic_files.STAGING, dir=models_dir))
    try:
        copy = staging / card.version
        shutil.copytree(directory, copy)
        atomic_files.rename_directory(copy, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target
