"""The counter of failed log-ins: its limits, several processes on one Redis, and a Redis that does not answer."""

import logging
import os
import uuid

import pytest
import redis

from dashboard.accounts import accounts, login_failures
from dashboard.accounts.accounts import Role
from dashboard.accounts.login_failures import MAX_FAILURES, WINDOW_SECONDS, LoginFailures
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker.demo.embedded_redis import free_port


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds since the epoch, in a list that a test changes."""
    clock = [1_800_000_000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    return clock


@pytest.fixture
def redis_url(monkeypatch):
    """A local Redis server, on which this test has keys of its own: THORAQ_TEST_REDIS_URL, or that on port 6379."""
    url = os.environ.get("THORAQ_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
    server = redis.Redis.from_url(url)
    try:
        server.ping()
    except redis.ConnectionError:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run a Redis server at {url}")
        pytest.skip(f"no Redis server answers at {url}")
    prefix = f"thoraq:test:{uuid.uuid4().hex}"
    monkeypatch.setattr(login_failures, "KEY_PREFIX", prefix)
    yield url
    if keys := server.keys(f"{prefix}*"):
        server.delete(*keys)
    server.close()


@pytest.fixture(params=["memory", "redis"])
def failures(request, clock):
    """A counter on each storage."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    return LoginFailures(uuid.uuid4().hex, url)


def test_nine_failures_block_nobody(failures):
    """Ten are needed."""
    for _ in range(MAX_FAILURES - 1):
        failures.count("a")

    assert 0 == failures.blocked_seconds("a")


def test_ten_failures_block_the_key_until_the_oldest_has_expired(failures, clock):
    """The wait shrinks as time passes."""
    for _ in range(MAX_FAILURES):
        failures.count("a")
        clock[0] += 10

    assert WINDOW_SECONDS - 100 < failures.blocked_seconds("a", "b") <= WINDOW_SECONDS - 100 + 1
    clock[0] += WINDOW_SECONDS - 100 + 1
    assert 0 == failures.blocked_seconds("a", "b")


def test_the_window_slides(failures, clock):
    """Once the oldest failure has expired, one more failure blocks the key again."""
    for _ in range(MAX_FAILURES):
        failures.count("a")
        clock[0] += 10
    clock[0] += WINDOW_SECONDS - 100 + 1

    failures.count("a")

    assert 0 < failures.blocked_seconds("a") <= 10


def test_other_keys_are_not_blocked(failures):
    """The failures of one account do not count for another."""
    for _ in range(MAX_FAILURES):
        failures.count("a")

    assert 0 == failures.blocked_seconds("b")


def test_a_reset_starts_anew(failures):
    """A correct password clears the failures of the account."""
    for _ in range(MAX_FAILURES):
        failures.count("a")

    failures.reset("a")

    assert 0 == failures.blocked_seconds("a")


def test_expired_failures_take_no_memory(clock):
    """A flood of names is gone after the window."""
    failures = LoginFailures("secret")
    for number in range(1000):
        failures.count(str(number))
    storage = failures._memory.storage
    storage.timer.join()

    clock[0] += WINDOW_SECONDS + 1
    failures.count("x")
    storage.timer.join()

    assert 1 == sum(map(len, storage.events.values()))


def test_redis_stores_neither_names_nor_addresses_and_drops_the_keys(redis_url):
    """A name that nobody has may be a password that somebody typed into the wrong field."""
    failures = LoginFailures(uuid.uuid4().hex, redis_url)
    server = redis.Redis.from_url(redis_url)

    failures.count("account hunter2", "address 192.0.2.7")

    keys = server.keys(f"{login_failures.KEY_PREFIX}*")
    assert 2 == len(keys)
    assert not [key for key in keys if b"hunter2" in key or b"192.0.2.7" in key]
    assert all(0 < server.ttl(key) <= WINDOW_SECONDS for key in keys)
    server.close()


def guess(client) -> int:
    """Send a wrong password by the API and return the status of the answer."""
    return client.get("/api/v1/models", auth=("somebody", "a wrong password")).status_code


@pytest.fixture
def application(database, monkeypatch):
    """Builds an application as one dashboard process would, with its own count or on a Redis."""
    monkeypatch.setattr(accounts, "HASHER", accounts.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    secret = uuid.uuid4().hex

    def build(url: str = "memory://"):
        return create_app(DashboardSettings(mode="test", secret_key=secret, login_failures_url=url)).test_client()

    return build


def test_two_dashboards_on_one_redis_count_together(application, redis_url):
    """Guessing does not get cheaper with more processes."""
    one, other = application(redis_url), application(redis_url)

    statuses = [guess(client) for _ in range(5) for client in (one, other)]

    assert [401] * MAX_FAILURES == statuses
    assert (429, 429) == (guess(one), guess(other))


def test_a_correct_password_at_one_dashboard_clears_the_account_at_the_other(application, redis_url):
    """They keep one count."""
    accounts.add("somebody", "correct horse battery", Role.UPSTREAM, "test")
    one, other = application(redis_url), application(redis_url)
    for _ in range(MAX_FAILURES - 1):
        other.get("/api/v1/models", auth=("somebody", "wrong"), environ_base={"REMOTE_ADDR": "192.0.2.1"})

    answer = one.get("/api/v1/models", auth=("somebody", "correct horse battery"))

    assert 200 == answer.status_code
    assert [401, 401] == [guess(other) for _ in range(2)]


def test_while_redis_is_out_each_process_counts_on_its_own_and_says_so(application, caplog):
    """Nobody is locked out, and nobody may guess without a limit."""
    client = application(f"redis://127.0.0.1:{free_port()}/0")

    with caplog.at_level(logging.WARNING):
        statuses = [guess(client) for _ in range(MAX_FAILURES + 1)]

    assert [401] * MAX_FAILURES + [429] == statuses
    warnings = [record.message for record in caplog.records if "Redis does not answer" in record.message]
    assert 1 == len(warnings)
    assert "counted in this process alone" in warnings[0]


def test_redis_is_used_again_when_it_answers_again(redis_url, monkeypatch):
    """The outage is over after at most ten seconds."""
    moment = [0.0]
    monkeypatch.setattr(login_failures.time, "monotonic", lambda: moment[0])
    secret = uuid.uuid4().hex
    failures, other = LoginFailures(secret, redis_url), LoginFailures(secret, redis_url)
    storage = failures._redis.storage
    working = storage.storage.connection_pool
    storage.storage.connection_pool = redis.ConnectionPool.from_url(f"redis://127.0.0.1:{free_port()}/0")
    failures.count("a")
    storage.storage.connection_pool = working

    moment[0] = login_failures.REDIS_RETRY_SECONDS + 1.0
    for _ in range(MAX_FAILURES):
        failures.count("a")

    assert 0 < other.blocked_seconds("a") <= WINDOW_SECONDS + 1
