"""Every setting of the queue, the database and the limits, read once; nothing else reads the environment.

Values come from `THORAQ_*` variables, then from `thoraq.env` in the data directory (which `thoraq demo` writes, so
that other commands find the demo without being told).
"""

import base64
import binascii
import os
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

#: The root under which intake stores what was uploaded; outside senders cannot refer to it.
ARCHIVE = "archive"

CHECKOUT = Path(__file__).resolve().parent.parent

#: Bytes of a callback's key, least and most: what Standard Webhooks allows.
KEY_BYTES = (24, 64)

Mode = Literal["production", "demo", "test"]


def data_dir() -> Path:
    """Return where this installation keeps its data.

    `THORAQ_DATA_DIR` rules; a checkout keeps them in `.thoraq` beside the code, an installed wheel in the user's
    state directory.
    """
    if named := os.environ.get("THORAQ_DATA_DIR"):
        return Path(named).resolve()
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".thoraq"
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "thoraq"


class CallbackEndpoint(BaseModel):
    """Where a system wants to be told that its submissions are finished."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: HttpUrl
    #: `whsec_` and 24 to 64 random bytes in base64, as Standard Webhooks has it: the key of the signature.
    secret: SecretStr
    #: The sources that may name it; every source when null.
    sources: frozenset[str] | None = None

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        key = _key(value)
        if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
            raise ValueError("the secret is not `whsec_` and 24 to 64 bytes in base64")
        return value

    def key(self) -> bytes:
        """Return the key of the signature."""
        return _key(self.secret)


def _key(secret: SecretStr) -> bytes:
    """Return the bytes of a secret; none if it has another form."""
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return b""


class Settings(BaseSettings):
    """What the worker, the doors and the command line need to know."""

    model_config = SettingsConfigDict(env_prefix="THORAQ_", frozen=True, extra="ignore", hide_input_in_errors=True)

    mode: Mode = "production"
    data_dir: Path = Field(default_factory=data_dir)
    database_url_setting: SecretStr | None = Field(default=None, validation_alias="THORAQ_DATABASE_URL")
    broker_url: SecretStr | None = None
    #: Named folders that upstream systems may refer to, as JSON: {"images": "/data/images"}.
    image_roots: dict[str, Path] = Field(default_factory=dict)

    #: Endpoints that submissions may name to be told when they are finished, as JSON:
    #: {"ris-results": {"url": "https://...", "secret": "whsec_..."}}.
    callbacks: dict[str, CallbackEndpoint] = Field(default_factory=dict)

    #: Most films of one batch, which one poison film can hold up; a slow network is asked about fewer at once.
    batch_size: int = Field(default=64, ge=1, le=1024)
    #: Processes that decode; 0 = one per core.
    decoders: int = Field(default=0, ge=0)
    #: A full-size CR in lossless DICOM is about 30 MB.
    max_file_bytes: int = Field(default=64 * 2**20, ge=1)
    #: 8000 x 8000: larger than any radiography detector sold.
    max_pixels: int = Field(default=64_000_000, ge=1)

    #: One task scores batches for `task_budget_seconds`, then sends a wake-up for the rest; a time limit kills it.
    task_budget_seconds: int = Field(default=30, ge=1)
    task_time_limit_seconds: int = Field(default=120, ge=2)
    #: Beyond this a claimed film counts as abandoned. Longer than the time limit, so a live batch is never doubled.
    lease_seconds: int = Field(default=150, ge=2)
    #: How long Redis waits for an acknowledgement; longer than the time limit, as reliability demands.
    visibility_timeout_seconds: int = Field(default=300, ge=2)
    max_attempts: int = Field(default=3, ge=1)
    #: Films that waited longer get a share of every batch, however many more urgent ones arrive.
    max_wait_routine_seconds: float = Field(default=30 * 60, gt=0)
    max_wait_offpeak_seconds: float = Field(default=8 * 3600, gt=0)

    sweep_seconds: float = Field(default=30, gt=0)
    #: A worker that finishes nothing for this long while films wait is no longer alive, connected or not. Longer than
    #: a first start, the task's budget and a batch together.
    stalled_seconds: float = Field(default=60, gt=0)
    #: JSON lines carry the ids of the task and the submission; text is for a person at a terminal.
    log_format: Literal["text", "json"] = "text"
    #: Where a worker's, an intake's or a trainer's measurements can be scraped; port 0 opens nothing.
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65535)
    #: Two missed heartbeats make a process "unknown", six "down".
    heartbeat_seconds: float = Field(default=10, gt=0)
    #: How much a finding of certainty 1 presses, in [0, 1], by its name on a model's card; others weigh `other`.
    finding_weights: dict[str, float] = Field(
        default_factory=lambda: {
            "Pneumothorax": 1.0,
            "Covid-19": 0.8,
            "Pneumonia": 0.7,
            "Effusions": 0.6,
            "Infiltration": 0.5,
            "No-Findings": 0.0,
        }
    )
    other_finding_weight: float = Field(default=0.5, ge=0, le=1)
    #: No study is overtaken in the worklist by one that came this much later.
    longest_wait_hours: float = Field(default=24, gt=0)

    #: Local time of the nightly retraining, HH:MM; empty switches it off.
    nightly_at: str = Field(default="02:00", pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$")
    timezone: str = "UTC"
    #: A trainer reports with every heartbeat; one that was silent this long is dead, and its run is asked for again.
    trainer_silence_seconds: float = Field(default=180, gt=0)

    @model_validator(mode="after")
    def _callbacks_are_encrypted(self) -> Self:
        """Refuse results on the open network, except where nothing is real."""
        open_ones = [name for name, endpoint in self.callbacks.items() if endpoint.url.scheme != "https"]
        if open_ones and self.mode == "production":
            raise ValueError(f"callbacks need https: {', '.join(sorted(open_ones))}")
        return self

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL; SQLite in the data directory unless one is set."""
        if self.database_url_setting:
            return self.database_url_setting.get_secret_value()
        return f"sqlite:///{self.data_dir / 'thoraq.db'}"

    @property
    def roots(self) -> dict[str, Path]:
        """Every root by its name: those of others, and our archive."""
        return {**self.image_roots, ARCHIVE: self.archive_dir}

    @property
    def archive_dir(self) -> Path:
        """Where uploaded files lie, named by their content."""
        return self.data_dir / "archive"

    @property
    def previews_dir(self) -> Path:
        """Where the worker stores the previews that the dashboard shows."""
        return self.data_dir / "previews"

    @property
    def heat_maps_dir(self) -> Path:
        """Where the worker stores the heat maps that the dashboard shows."""
        return self.data_dir / "heat_maps"

    @property
    def models_dir(self) -> Path:
        """Where published model versions lie."""
        return self.data_dir / "models"


@cache
def settings() -> Settings:
    """Return this process's settings; invalid ones raise `pydantic.ValidationError`."""
    return Settings(_env_file=data_dir() / "thoraq.env")
