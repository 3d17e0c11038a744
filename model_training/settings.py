"""The settings of retraining, read once; what the worker needs to know is in `worker.settings`."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.settings import data_dir

Devices = Literal["one", "all"]


class TrainingSettings(BaseSettings):
    """What a retraining run trains, and on what."""

    model_config = SettingsConfigDict(env_prefix="THORAQ_TRAINING_", frozen=True, extra="ignore", env_ignore_empty=True)

    #: The folder with train, validation and test; without it a run fails and says so.
    data: Path | None = None
    network: str = "v3"
    #: None: the network's own number.
    epochs: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    #: Films of other hospitals in class folders: shown beside the verdict, never trained on, deciding nothing.
    external: Path | None = None
    #: A candidate that passes the gate takes the active version's place by itself.
    automatic_promotion: bool = False
    #: Of the trainer's process, as `nice` counts: 0 is as urgent as scoring, 19 takes what scoring leaves.
    niceness: int = Field(default=10, ge=0, le=19)
    #: That compute at once; 0 = one a core.
    threads: int = Field(default=0, ge=0)
    #: `all`: each batch is shared out over every device of the host.
    devices: Devices = "one"


@cache
def settings() -> TrainingSettings:
    """Return this process's settings; invalid ones raise `pydantic.ValidationError`."""
    return TrainingSettings(_env_file=data_dir() / "thoraq.env")
