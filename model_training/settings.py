"""The settings of retraining, read once. Settings that the worker shares are in `worker.settings`."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.settings import data_dir

Devices = Literal["one", "all"]


class TrainingSettings(BaseSettings):
    """What a retraining run trains, on which data, and with which resources."""

    model_config = SettingsConfigDict(env_prefix="THORAQ_TRAINING_", frozen=True, extra="ignore", env_ignore_empty=True)

    #: The training data, a folder or a manifest. A run without this setting fails with a message that names it.
    data: Path | None = None
    network: str = "v3"
    #: None: the network's default.
    epochs: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    #: Films of other hospitals in class folders. They are evaluated and shown, but neither trained on nor judged by.
    external: Path | None = None
    #: Promote a candidate that passes the gate without asking a person.
    automatic_promotion: bool = False
    #: Niceness of the trainer's process: 0 has the same priority as scoring, 19 uses only what scoring leaves.
    niceness: int = Field(default=10, ge=0, le=19)
    #: Number of threads that compute at once; 0 is one per core.
    threads: int = Field(default=0, ge=0)
    #: `all` splits each batch over every device of the host.
    devices: Devices = "one"


@cache
def settings() -> TrainingSettings:
    """Return this process's settings; invalid settings raise `pydantic.ValidationError`."""
    return TrainingSettings(_env_file=data_dir() / "thoraq.env")
