"""Counts failed log-ins per account and per address. Does not import accounts or requests.

Several processes that share a Redis count together. While Redis does not answer, each process counts on its own.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

logger = logging.getLogger(__name__)

#: Enough for a person who has forgotten a password, useless for a program that guesses.
MAX_FAILURES = 10
WINDOW_SECONDS = 15 * 60
#: A log-in waits this long for Redis at most.
REDIS_TIMEOUT_SECONDS = 1
#: Redis is asked again this long after it has failed to answer.
REDIS_RETRY_SECONDS = 10
KEY_PREFIX = "thoraq:login"

_LIMIT = RateLimitItemPerSecond(MAX_FAILURES, WINDOW_SECONDS, namespace="failures")
_Result = TypeVar("_Result")


class LoginFailures:
    """The failures of the last 15 minutes under each key; ten of them block the key until the oldest is older."""

    def __init__(self, secret: str, redis_url: str | None = None) -> None:
        """Count in Redis, or in the memory of this process if there is no `redis_url`.

        Redis stores an HMAC of each key under `secret`: people type passwords into the field for the name.
        """
        self._secret = secret.encode()
        self._memory = MovingWindowRateLimiter(MemoryStorage())
        self._redis: MovingWindowRateLimiter | None = None
        self._redis_retry_at = 0.0
        if redis_url:
            storage = RedisStorage(
                redis_url,
                key_prefix=KEY_PREFIX,
                wrap_exceptions=True,
                socket_timeout=REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
            )
            self._redis = MovingWindowRateLimiter(storage)

    def blocked_seconds(self, *keys: str) -> int:
        """Return for how many seconds at least one of `keys` stays blocked; 0 if none is."""
        return max(self._run(_blocked_seconds, key) for key in keys)

    def count(self, *keys: str) -> None:
        """Record one failure under each of `keys`."""
        for key in keys:
            self._run(_count, key)

    def reset(self, key: str) -> None:
        """Forget the failures under a key."""
        self._run(_reset, key)

    def _run(self, action: Callable[[MovingWindowRateLimiter, str], _Result], key: str) -> _Result:
        """Run `action` on the digest of `key`, in Redis, or in the memory of this process while Redis does not answer.

        Nobody is blocked because Redis is out, and nobody may guess without a limit meanwhile.
        """
        digest = hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()
        if self._redis is not None and time.monotonic() >= self._redis_retry_at:
            try:
                return action(self._redis, digest)
            except StorageError as error:
                self._redis_retry_at = time.monotonic() + REDIS_RETRY_SECONDS
                cause = type(error.storage_error).__name__
                logger.warning("Redis does not answer (%s): failed log-ins are counted in this process alone", cause)
        return action(self._memory, digest)


def _blocked_seconds(limiter: MovingWindowRateLimiter, digest: str) -> int:
    window = limiter.get_window_stats(_LIMIT, digest)
    return max(1, int(window.reset_time - time.time()) + 1) if window.remaining <= 0 else 0


def _count(limiter: MovingWindowRateLimiter, digest: str) -> None:
    limiter.hit(_LIMIT, digest)


def _reset(limiter: MovingWindowRateLimiter, digest: str) -> None:
    limiter.clear(_LIMIT, digest)
