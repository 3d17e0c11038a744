"""Every setting of the dashboard, read once: the secret, cookies, sessions, limits. Does not import Flask."""

import json
import secrets
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.errors import NotConfigured
from worker.settings import Mode, data_dir, settings

#: 128 bits, written in hexadecimal.
MIN_SECRET_CHARACTERS = 32
MEMORY_URL = "memory://"
REDIS_SCHEMES = ("redis://", "rediss://", "redis+unix://")


class UnsafeSettings(NotConfigured):
    """The dashboard does not start with these settings."""


class DashboardSettings(BaseSettings):
    """The settings of the dashboard, beside those of the worker."""

    model_config = SettingsConfigDict(env_prefix="THORAQ_", frozen=True, extra="ignore", env_ignore_empty=True)

    mode: Mode = Field(default_factory=lambda: settings().mode)
    #: Signs sessions and forms. Required in production; elsewhere a random one is generated.
    secret_key: SecretStr | None = None
    #: Whether browsers send the session cookie over HTTPS only; False in the demonstration, which has no certificate.
    secure_cookies: bool = Field(default_factory=lambda: settings().mode != "demo")
    session_idle_seconds: int = Field(default=15 * 60, ge=1)
    session_absolute_seconds: int = Field(default=8 * 3600, ge=1)
    #: Host names under which the dashboard answers; empty: all. A JSON list, or names separated by commas.
    trusted_hosts: Annotated[list[str], NoDecode] = Field(default_factory=list)
    #: Number of reverse proxies in front of the dashboard whose `X-Forwarded-*` headers are trusted.
    proxy_hops: int = Field(default=0, ge=0)
    #: Enough for hundreds of small films, or for two films of the largest size.
    max_upload_bytes: int = Field(default=128 * 2**20, ge=1)
    #: The bearer token for `/metrics`; without one, `/metrics` is 404.
    metrics_token: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    threads: int = Field(default=8, ge=1, le=256)
    dashboard_processes: int = Field(default=1, ge=1, le=64)
    #: The Redis in which failed log-ins are counted; None: the broker's, in production.
    login_failures_url: SecretStr | None = None

    @field_validator("trusted_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return (
            json.loads(value) if value.startswith("[") else [name.strip() for name in value.split(",") if name.strip()]
        )

    @field_validator("login_failures_url")
    @classmethod
    def _require_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith((*REDIS_SCHEMES, MEMORY_URL)):
            raise ValueError(f"begin it with one of {', '.join(REDIS_SCHEMES)}, or say {MEMORY_URL}")
        return value

    @model_validator(mode="after")
    def _refuse_a_missing_secret(self) -> Self:
        if self.dashboard_processes > 1 and self.secret_key is None:
            raise ValueError("THORAQ_SECRET_KEY is not set: several processes need the same one")
        if self.mode != "production":
            return self
        length = len(self.secret_key.get_secret_value()) if self.secret_key else 0
        if length < MIN_SECRET_CHARACTERS:
            state = "is too short" if length else "is not set"
            message = f"THORAQ_SECRET_KEY {state}: give it {MIN_SECRET_CHARACTERS} or more random characters"
            raise ValueError(message)
        return self

    def signing_key(self) -> str:
        """Return the secret that signs sessions; if none is set, a random one that only this process knows."""
        return self.secret_key.get_secret_value() if self.secret_key else secrets.token_hex(32)

    def login_failures_redis_url(self) -> str | None:
        """Return the URL of the Redis in which failed log-ins are counted; None: in the memory of each process."""
        url = self.login_failures_url
        if url is None and self.mode == "production":
            url = settings().broker_url
        text = url.get_secret_value() if url else ""
        return text if text.startswith(REDIS_SCHEMES) else None


def dashboard_settings() -> DashboardSettings:
    """Read the settings from `THORAQ_*` and from `thoraq.env` in the data directory.

    Raises:
        UnsafeSettings: a setting is missing or invalid; the message has its name, never its value.
    """
    try:
        return DashboardSettings(_env_file=data_dir() / "thoraq.env")
    except ValidationError as error:
        raise UnsafeSettings(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    """Return the errors in one line, without the values: one of them may be the secret."""
    return "; ".join(
        f"{'_'.join(['THORAQ', *(str(part).upper() for part in problem['loc'])])}: {problem['msg']}"
        if problem["loc"]
        else problem["msg"].removeprefix("Value error, ")
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
