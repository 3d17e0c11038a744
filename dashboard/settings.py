"""Every setting of the web pages, read once: the secret, cookies, sessions, limits. Knows nothing of Flask."""

import json
import secrets
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.errors import NotConfigured
from worker.settings import Mode, data_dir, settings

#: 128 bits, written in hexadecimal.
MIN_SECRET_CHARACTERS = 32


class UnsafeSettings(NotConfigured):
    """The dashboard does not start with these settings."""


class DashboardSettings(BaseSettings):
    """What the dashboard needs to know beyond the worker's settings."""

    model_config = SettingsConfigDict(env_prefix="THORAQ_", frozen=True, extra="ignore", env_ignore_empty=True)

    mode: Mode = Field(default_factory=lambda: settings().mode)
    #: Signs sessions and forms. Only a demonstration and a test may make up one of their own.
    secret_key: SecretStr | None = None
    #: Whether browsers send the cookie over HTTPS only; False in the demonstration, which has no certificate.
    secure_cookies: bool = Field(default_factory=lambda: settings().mode != "demo")
    session_idle_seconds: int = Field(default=15 * 60, ge=1)
    session_absolute_seconds: int = Field(default=8 * 3600, ge=1)
    #: Host names under which the dashboard answers; empty: any. A JSON list, or names between commas.
    trusted_hosts: Annotated[list[str], NoDecode] = Field(default_factory=list)
    #: Reverse proxies before the dashboard whose `X-Forwarded-*` headers are believed.
    proxy_hops: int = Field(default=0, ge=0)
    #: A night of small films, or two full-size ones of the largest kind.
    max_upload_bytes: int = Field(default=128 * 2**20, ge=1)
    #: Whoever carries it may read `/metrics`; without one there are none.
    metrics_token: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    threads: int = Field(default=8, ge=1, le=256)

    @field_validator("trusted_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return (
            json.loads(value) if value.startswith("[") else [name.strip() for name in value.split(",") if name.strip()]
        )

    @model_validator(mode="after")
    def _refuse_a_missing_secret(self) -> Self:
        if self.mode != "production":
            return self
        length = len(self.secret_key.get_secret_value()) if self.secret_key else 0
        if length < MIN_SECRET_CHARACTERS:
            state = "is too short" if length else "is not set"
            message = f"THORAQ_SECRET_KEY {state}: give it {MIN_SECRET_CHARACTERS} or more random characters"
            raise ValueError(message)
        return self

    def signing_key(self) -> str:
        """Return the secret that signs sessions; a random one, good for this process only, where none is set."""
        return self.secret_key.get_secret_value() if self.secret_key else secrets.token_hex(32)


def dashboard_settings() -> DashboardSettings:
    """Read the settings from `THORAQ_*` and from `thoraq.env` in the data directory.

    Raises:
        UnsafeSettings: one is missing or invalid; the message names it and never its value.
    """
    try:
        return DashboardSettings(_env_file=data_dir() / "thoraq.env")
    except ValidationError as error:
        raise UnsafeSettings(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    """Return the problems in one line, without the values, one of which may be the secret."""
    return "; ".join(
        f"{'_'.join(['THORAQ', *(str(part).upper() for part in problem['loc'])])}: {problem['msg']}"
        if problem["loc"]
        else problem["msg"].removeprefix("Value error, ")
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
