"""The settings of the queue, the database and the limits, read once; no other module reads the environment for them.

Values come from `THORAQ_*` variables, then from `thoraq.env` in the data directory. `thoraq demo` writes that file, so
that other commands use the demo's settings. docs/settings.md describes every setting.
"""

import base64
import binascii
import os
from functools import cache
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from worker.inputs.film_limits import MAX_FILE_BYTES, MAX_PIXELS
from worker.settings.destinations import Destination
from worker.settings.doors import AeTitle, Door

#: The root of uploaded files; messages cannot refer to it.
ARCHIVE = "archive"

CHECKOUT = Path(__file__).resolve().parent.parent.parent

#: The shortest and the longest key of a callback in bytes, by Standard Webhooks.
KEY_BYTES = (24, 64)

Mode = Literal["production", "demo", "test"]


def data_dir() -> Path:
    """Return the data directory of this installation.

    It is `THORAQ_DATA_DIR` if that is set; else `.thoraq` in a checkout, and `thoraq` in the user's state directory
    for an installed package.
    """
    if directory := os.environ.get("THORAQ_DATA_DIR"):
        return Path(directory).resolve()
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".thoraq"
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "thoraq"


class CallbackEndpoint(BaseModel):
    """An address that is called when submissions are finished."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: HttpUrl
    #: The key of the signature, as Standard Webhooks writes it: `whsec_` and 24 to 64 random bytes in base64.
    secret: SecretStr
    #: The sources that may use the endpoint; None means every source.
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


class FindingCode(BaseModel):
    """The code of a finding in DICOM objects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str = Field(pattern=r"^[!-\[\]-~]{1,16}$")
    #: The designator of the coding scheme, such as `SCT`, `DCM` or one that begins with `99`.
    scheme: str = Field(pattern=r"^[!-\[\]-~]{1,16}$")
    meaning: str = Field(pattern=r"^[ -\[\]-~]{1,64}$")


def _key(secret: SecretStr) -> bytes:
    """Return the bytes of a secret; empty if it is not valid base64."""
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return b""


def parse_database_url(text: str) -> URL:
    """Return a URL for SQLAlchemy of a PostgreSQL database, with the driver psycopg, or of an SQLite database.

    Raises:
        ValueError: `text` is not a URL, or names another kind of database or another driver.
    """
    example = "such as postgresql+psycopg://user:password@host/thoraq"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # Its message would have the password.
        raise ValueError(f"this is no URL of a database, {example}") from error
    if url.drivername in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"postgresql+psycopg", "sqlite", "sqlite+pysqlite"}:
        raise ValueError(f"{url.drivername} is not supported: use PostgreSQL through psycopg, {example}, or SQLite")
    return url


class Settings(BaseSettings):
    """The settings of worker, intake, command line and dashboard."""

    model_config = SettingsConfigDict(env_prefix="THORAQ_", frozen=True, extra="ignore", hide_input_in_errors=True)

    mode: Mode = "production"
    data_dir: Path = Field(default_factory=data_dir)
    database_url_setting: SecretStr | None = Field(default=None, validation_alias="THORAQ_DATABASE_URL")
    broker_url: SecretStr | None = None
    #: Named folders that upstream systems may refer to, as JSON: {"images": "/data/images"}.
    image_roots: dict[str, Path] = Field(default_factory=dict)

    #: Endpoints that submissions may ask to be called when they are finished, as JSON:
    #: {"ris-results": {"url": "https://...", "secret": "whsec_..."}}.
    callbacks: dict[str, CallbackEndpoint] = Field(default_factory=dict)

    #: The most films of one batch, all of which one bad film can delay; a slow network gets fewer at once.
    batch_size: int = Field(default=64, ge=1, le=1024)
    #: The number of processes that decode; 0 means one for each core.
    decoders: int = Field(default=0, ge=0)
    #: A full-size CR in lossless DICOM is about 30 MB.
    max_file_bytes: int = Field(default=MAX_FILE_BYTES, ge=1)
    #: With less free space, the disk of the archive counts as full: about twice the largest film.
    min_free_bytes: int = Field(default=128 * 2**20, ge=0)
    #: 8000 x 8000: larger than any radiography detector sold.
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)

    #: One task scores batches for `task_budget_seconds`, then sends a wake-up for the rest; a time limit kills it.
    task_budget_seconds: int = Field(default=30, ge=1)
    task_time_limit_seconds: int = Field(default=120, ge=2)
    #: A film claimed longer ago counts as abandoned. Longer than the time limit, so that no running batch is repeated.
    lease_seconds: int = Field(default=150, ge=2)
    #: When Redis delivers an unacknowledged message again; longer than the time limit, so that no task runs twice.
    visibility_timeout_seconds: int = Field(default=300, ge=2)
    max_attempts: int = Field(default=3, ge=1)
    #: Films that waited longer get a share of every batch, however many more urgent ones arrive.
    max_wait_routine_seconds: float = Field(default=30 * 60, gt=0)
    max_wait_offpeak_seconds: float = Field(default=8 * 3600, gt=0)

    #: Called AE titles under which `thoraq receiver` takes films, as JSON (`worker.settings.doors`).
    doors: dict[AeTitle, Door] = Field(default_factory=dict)
    receiver_host: str = "127.0.0.1"
    receiver_port: int = Field(default=11112, ge=0, le=65535)
    #: Certificate and key of the receiver, and the authorities that sign its callers' certificates, all in PEM.
    receiver_tls_certificate: Path | None = None
    receiver_tls_key: Path | None = None
    receiver_tls_authorities: Path | None = None
    #: Associations that carry instances, of all callers; associations and silent connections of one address.
    receiver_associations: int = Field(default=20, ge=1)
    receiver_per_address: int = Field(default=8, ge=1)
    receiver_pdu_bytes: int = Field(default=131072, ge=4096)
    #: Films are taken while the spool's disk has this much free, and the spool does not hold more.
    receiver_reserve_bytes: int = Field(default=2 * 2**30, ge=0)
    receiver_spool_bytes: int = Field(default=20 * 2**30, ge=1)
    #: The sender's certificate in PEM, for which identities are sealed, and the file of the key of the pseudonyms.
    identity_certificate: Path | None = None
    pseudonym_key: Path | None = None
    #: The sender's private key in PEM, which opens sealed identities.
    identity_key: Path | None = None
    #: Archives to which results are sent, as JSON (`worker.settings.destinations`), by the names that doors use.
    destinations: dict[str, Destination] = Field(default_factory=dict)
    #: A part of a study that does not end is closed after this time.
    part_maximum_seconds: float = Field(default=600, gt=0)

    sweep_seconds: float = Field(default=30, gt=0)
    #: A worker that finishes nothing for this long while films wait is stalled. Longer than a first start, the task's
    #: budget and a batch together.
    stalled_seconds: float = Field(default=60, gt=0)
    #: `json` writes lines with the ids of task and submission for a collector; `text` is for a terminal.
    log_format: Literal["text", "json"] = "text"
    #: Where a worker, an intake or a trainer serves its metrics; port 0 means not at all.
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65535)
    #: The status of a process is "unknown" after two missed heartbeats, and "down" after six.
    heartbeat_seconds: float = Field(default=10, gt=0)
    #: The severity of a finding of probability 1, in [0, 1], by its name on a model's card.
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
    #: No study is overtaken in the worklist by one that arrived this much later.
    longest_wait_hours: float = Field(default=24, gt=0)

    #: Codes of findings in DICOM objects that replace Thoraq's own, by the finding's name on a model's card:
    #: {"Pneumonia": {"value": "233604007", "scheme": "SCT", "meaning": "Pneumonia"}}.
    finding_codes: dict[str, FindingCode] = Field(default_factory=dict)

    #: Local time of the nightly retraining, HH:MM; empty switches it off.
    nightly_at: str = Field(default="02:00", pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$")
    timezone: str = "UTC"
    #: A trainer without a heartbeat for this long is dead, and its run is requested again.
    trainer_silence_seconds: float = Field(default=180, gt=0)

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {value!r}") from error
        return value

    @model_validator(mode="after")
    def _callbacks_are_encrypted(self) -> Self:
        """Refuse endpoints without TLS in production."""
        without_tls = [name for name, endpoint in self.callbacks.items() if endpoint.url.scheme != "https"]
        if without_tls and self.mode == "production":
            raise ValueError(f"callbacks need https: {', '.join(sorted(without_tls))}")
        return self

    @model_validator(mode="after")
    def _doors_know_their_callers(self) -> Self:
        """Refuse a key without its certificate, and in production a door that lets in whoever says an AE title."""
        if bool(self.receiver_tls_certificate) != bool(self.receiver_tls_key):
            raise ValueError("THORAQ_RECEIVER_TLS_CERTIFICATE and THORAQ_RECEIVER_TLS_KEY belong together")
        if self.receiver_tls_authorities and not self.receiver_tls_certificate:
            raise ValueError("THORAQ_RECEIVER_TLS_AUTHORITIES needs THORAQ_RECEIVER_TLS_CERTIFICATE")
        anybody = sorted(title for title, door in self.doors.items() if door.lets_anybody_in)
        if anybody and self.mode == "production" and not self.receiver_tls_authorities:
            raise ValueError(
                f"each caller of {', '.join(anybody)} needs an address, or THORAQ_RECEIVER_TLS_AUTHORITIES must be set"
            )
        return self

    @model_validator(mode="after")
    def _destinations_exist(self) -> Self:
        """Refuse a door that owes results to nobody, and in production DICOMweb without TLS."""
        unknown = {name for door in self.doors.values() for name in door.results} - set(self.destinations)
        if unknown:
            raise ValueError(f"THORAQ_DESTINATIONS does not have {', '.join(sorted(unknown))}")
        without_tls = sorted(
            name for name, one in self.destinations.items() if one.kind == "stow" and one.url.scheme != "https"
        )
        if without_tls and self.mode == "production":
            raise ValueError(f"DICOMweb needs https: {', '.join(without_tls)}")
        return self

    @field_validator("database_url_setting")
    @classmethod
    def _is_a_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_database_url(value.get_secret_value())
        return value

    @property
    def database_url(self) -> URL:
        """The URL of the database; SQLite in the data directory unless one is set."""
        if self.database_url_setting:
            return parse_database_url(self.database_url_setting.get_secret_value())
        return URL.create("sqlite", database=str(self.data_dir / "thoraq.db"))

    @property
    def roots(self) -> dict[str, Path]:
        """Every root by its name: those in `image_roots`, and the archive."""
        return {**self.image_roots, ARCHIVE: self.archive_dir}

    @property
    def archive_dir(self) -> Path:
        """The folder of uploaded files, named by their SHA-256."""
        return self.data_dir / "archive"

    @property
    def spool_dir(self) -> Path:
        """The folder of what the receiver answered with success and has not brought into the ledger."""
        return self.data_dir / "spool"

    @property
    def previews_dir(self) -> Path:
        """The folder in which the worker stores previews for the dashboard."""
        return self.data_dir / "previews"

    @property
    def heat_maps_dir(self) -> Path:
        """The folder in which the worker stores heat maps for the dashboard."""
        return self.data_dir / "heat_maps"

    @property
    def models_dir(self) -> Path:
        """The folder of registered model versions."""
        return self.data_dir / "models"


@cache
def settings() -> Settings:
    """Return this process's settings; invalid ones raise `pydantic.ValidationError`."""
    return Settings(_env_file=data_dir() / "thoraq.env")
