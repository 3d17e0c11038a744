"""Counts failed log-ins and wrong tokens, and says who must wait. Does not import accounts or requests.

Failures count under the pair of account and address, the address, and the account. So nobody is locked out by what
others do elsewhere, and guessing stays slow, from one address and from many (decision 45).

Several processes that share a Redis count together. While Redis does not answer, each process counts on its own.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

logger = logging.getLogger(__name__)

MAX_FAILURES = 10
WINDOW_SECONDS = 15 * 60
HOUR_SECONDS, DAY_SECONDS = 3600, 24 * 3600
#: How long an address at which an account has logged in is exempt from what others do.
KNOWN_SECONDS = 30 * DAY_SECONDS
#: A log-in waits this long for Redis at most.
REDIS_TIMEOUT_SECONDS = 1
#: Redis is asked again this long after it has failed to answer.
REDIS_RETRY_SECONDS = 10
KEY_PREFIX = "thoraq:login"

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Subject:
    """What failures are counted under, and how many block it in how many seconds; several limits make waits grow."""

    key: str
    limits: tuple[tuple[int, int], ...]

    def rates(self) -> tuple[RateLimitItemPerSecond, ...]:
        """Return the limits as the library has them."""
        return tuple(RateLimitItemPerSecond(most, seconds, namespace="failures") for most, seconds in self.limits)


def account_at(account: str, address: str) -> Subject:
    """Return an account at an address: enough for a person who has forgotten a password, useless for a program."""
    return Subject(f"account {account} at {address}", ((MAX_FAILURES, WINDOW_SECONDS), (3 * MAX_FAILURES, DAY_SECONDS)))


def passwords_from(address: str) -> Subject:
    """Return an address: many people may share one, and one program may try many accounts."""
    return Subject(f"address {address}", ((3 * MAX_FAILURES, WINDOW_SECONDS), (20 * MAX_FAILURES, DAY_SECONDS)))


def account_anywhere(account: str) -> Subject:
    """Return an account at all addresses: it bounds guesses from many addresses."""
    return Subject(f"account {account}", ((10 * MAX_FAILURES, HOUR_SECONDS),))


def tokens_from(address: str) -> Subject:
    """Return the tokens from an address."""
    return Subject(f"tokens {address}", ((MAX_FAILURES, WINDOW_SECONDS),))


def _log_ins(account: str, address: str) -> Subject:
    return Subject(f"known {account} at {address}", ((1, KNOWN_SECONDS),))


class LoginFailures:
    """The failures under each subject; as many as a limit block it until the oldest of them is older."""

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

    def blocked_seconds(self, *subjects: Subject) -> int:
        """Return for how many seconds at least one of `subjects` stays blocked; 0 if none is."""
        return max(self._run(_blocked_seconds, subject) for subject in subjects)

    def count(self, *subjects: Subject) -> None:
        """Record one failure under each of `subjects`."""
        for subject in subjects:
            self._run(_count, subject)

    def log_in_blocked_seconds(self, account: str, address: str) -> int:
        """Return for how many seconds an account stays blocked at an address; 0 if it is not.

        Where it has logged in before, only its own failures there count.
        """
        if self._run(_blocked_seconds, _log_ins(account, address)):
            return self.blocked_seconds(account_at(account, address))
        return self.blocked_seconds(account_at(account, address), passwords_from(address), account_anywhere(account))

    def count_log_in(self, account: str, address: str, *, failed: bool) -> None:
        """Record a log-in. One that succeeds clears the account's failures at the address, and makes it known there."""
        if failed:
            self.count(account_at(account, address), passwords_from(address), account_anywhere(account))
        else:
            self._run(_reset, account_at(account, address))
            self.count(_log_ins(account, address))

    def _run(self, action: Callable[[MovingWindowRateLimiter, Subject, str], _Result], subject: Subject) -> _Result:
        """Run `action` on a subject's digest, in Redis, or in the memory of this process while Redis does not answer.

        Nobody is blocked because Redis is out, and nobody may guess without a limit meanwhile.
        """
        digest = hmac.new(self._secret, subject.key.encode(), hashlib.sha256).hexdigest()
        if self._redis is not None and time.monotonic() >= self._redis_retry_at:
            try:
                return action(self._redis, subject, digest)
            except StorageError as error:
                self._redis_retry_at = time.monotonic() + REDIS_RETRY_SECONDS
                cause = type(error.storage_error).__name__
                logger.warning("Redis does not answer (%s): failed log-ins are counted in this process alone", cause)
        return action(self._memory, subject, digest)


def _blocked_seconds(limiter: MovingWindowRateLimiter, subject: Subject, digest: str) -> int:
    windows = [limiter.get_window_stats(rate, digest) for rate in subject.rates()]
    waits = [max(1, int(window.reset_time - time.time()) + 1) for window in windows if window.remaining <= 0]
    return max(waits, default=0)


def _count(limiter: MovingWindowRateLimiter, subject: Subject, digest: str) -> None:
    for rate in subject.rates():
        limiter.hit(rate, digest)


def _reset(limiter: MovingWindowRateLimiter, subject: Subject, digest: str) -> None:
    for rate in subject.rates():
        limiter.clear(rate, digest)
