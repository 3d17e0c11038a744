"""The settings of retraining, read once; what the worker needs to know is in `worker.settings`."""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.settings import data_dir


class TrainingSettings(BaseSettings):
    """What a retraining run trains, and on what."""

    model_config = SettingsConfigDict(env_prefix="THORAQ_TRAINING_", frozen=True, extra="ignore", env_ignore_empty=True)

    #: The folder with train, validation and test; without it a run fails and says so.
    data: Path | None = None
    network: str = "v3"
    #: None: the network's own number.
    epochs: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)


@cache
def settings() -> TrainingSettings:
    """Return this process's settings; invalid ones raise `pydantic.ValidationError`."""
    return TrainingSettings(_env_file=data_dir() / "thoraq.env")
