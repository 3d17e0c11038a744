"""The counter of failed log-ins: its limits, several processes on one Redis, and a Redis that does not answer."""

import logging
import os
import uuid

import pytest
import redis

from dashboard.accounts import accounts, login_failures, tokens
from dashboard.accounts.accounts import Role
from dashboard.accounts.login_failures import (
    DAY_SECONDS,
    HOUR_SECONDS,
    MAX_FAILURES,
    WINDOW_SECONDS,
    LoginFailures,
    account_anywhere,
    account_at,
    passwords_from,
    tokens_from,
)
from dashboard.accounts.tokens import Scope
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker.demo.embedded_redis import free_port

A, B = tokens_from("a"), tokens_from("b")
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


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
        failures.count(A)

    assert 0 == failures.blocked_seconds(A)


def test_ten_failures_block_the_key_until_the_oldest_has_expired(failures, clock):
    """The wait shrinks as time passes."""
    for _ in range(MAX_FAILURES):
        failures.count(A)
        clock[0] += 10

    assert WINDOW_SECONDS - 100 < failures.blocked_seconds(A, B) <= WINDOW_SECONDS - 100 + 1
    clock[0] += WINDOW_SECONDS - 100 + 1
    assert 0 == failures.blocked_seconds(A, B)


def test_the_window_slides(failures, clock):
    """Once the oldest failure has expired, one more failure blocks the key again."""
    for _ in range(MAX_FAILURES):
        failures.count(A)
        clock[0] += 10
    clock[0] += WINDOW_SECONDS - 100 + 1

    failures.count(A)

    assert 0 < failures.blocked_seconds(A) <= 10


def test_other_keys_are_not_blocked(failures):
    """The failures of one account do not count for another."""
    for _ in range(MAX_FAILURES):
        failures.count(A)

    assert 0 == failures.blocked_seconds(B)


def test_a_reset_starts_anew(failures):
    """A correct password clears the failures of the account at its address."""
    for _ in range(MAX_FAILURES):
        failures.count_log_in("a", "192.0.2.1", failed=True)

    failures.count_log_in("a", "192.0.2.1", failed=False)

    assert 0 == failures.blocked_seconds(account_at("a", "192.0.2.1"))


def test_expired_failures_take_no_memory(clock):
    """A flood of names is gone after the window."""
    failures = LoginFailures("secret")
    for number in range(1000):
        failures.count(tokens_from(str(number)))
    storage = failures._memory.storage
    storage.timer.join()

    clock[0] += WINDOW_SECONDS + 1
    failures.count(tokens_from("x"))
    storage.timer.join()

    assert 1 == sum(map(len, storage.events.values()))


def test_redis_stores_neither_names_nor_addresses_and_drops_the_keys(redis_url):
    """A name that nobody has may be a password that somebody typed into the wrong field."""
    failures = LoginFailures(uuid.uuid4().hex, redis_url)
    server = redis.Redis.from_url(redis_url)

    failures.count(tokens_from("192.0.2.7"), account_anywhere("hunter2"))

    keys = server.keys(f"{login_failures.KEY_PREFIX}*")
    assert 2 == len(keys)
    assert not [key for key in keys if b"hunter2" in key or b"192.0.2.7" in key]
    assert all(0 < server.ttl(key) <= HOUR_SECONDS for key in keys)
    server.close()


def test_what_others_do_elsewhere_locks_nobody_out(failures):
    """A stranger's failures on an account block the stranger's address."""
    for _ in range(MAX_FAILURES):
        failures.count_log_in("anna", ELSEWHERE, failed=True)

    assert 0 < failures.log_in_blocked_seconds("anna", ELSEWHERE)
    assert 0 == failures.log_in_blocked_seconds("anna", HOME)


def test_guesses_from_many_addresses_are_bounded_and_spare_the_known_address(failures):
    """A new address must wait; where the account has logged in before, only its own failures count."""
    failures.count_log_in("anna", HOME, failed=False)
    for number in range(10 * MAX_FAILURES):
        failures.count_log_in("anna", f"203.0.113.{number}", failed=True)

    assert 0 < failures.log_in_blocked_seconds("anna", ELSEWHERE) <= HOUR_SECONDS + 1
    assert 0 == failures.log_in_blocked_seconds("anna", HOME)
    assert 0 == failures.log_in_blocked_seconds("berta", ELSEWHERE)


def test_people_who_share_an_address_do_not_lock_out_who_has_logged_in_there(failures):
    """One password on many names is slow, and the colleagues go on."""
    failures.count_log_in("anna", HOME, failed=False)
    for number in range(3 * MAX_FAILURES):
        failures.count_log_in(f"somebody-{number}", HOME, failed=True)

    assert 0 < failures.log_in_blocked_seconds("berta", HOME)
    assert 0 == failures.log_in_blocked_seconds("anna", HOME)
    for _ in range(MAX_FAILURES):
        failures.count_log_in("anna", HOME, failed=True)
    assert 0 < failures.log_in_blocked_seconds("anna", HOME)


def test_waits_grow(failures, clock):
    """Who uses up the failures of a quarter of an hour three times waits for the rest of the day."""
    for _ in range(3):
        for _ in range(MAX_FAILURES):
            failures.count(account_at("anna", HOME))
        clock[0] += WINDOW_SECONDS + 1

    assert DAY_SECONDS / 2 < failures.blocked_seconds(account_at("anna", HOME)) <= DAY_SECONDS
    assert 0 == failures.blocked_seconds(passwords_from(HOME))


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
    failures.count(A)
    storage.storage.connection_pool = working

    moment[0] = login_failures.REDIS_RETRY_SECONDS + 1.0
    for _ in range(MAX_FAILURES):
        failures.count(A)

    assert 0 < other.blocked_seconds(A) <= WINDOW_SECONDS + 1


def test_wrong_tokens_are_counted_and_a_valid_one_is_always_taken(application):
    """The wrong ones of one address stop nobody who has a token, and no log-in."""
    client = application()
    accounts.add("pacs", "correct horse battery", Role.UPSTREAM, "test")
    token = tokens.make("pacs", "test", [Scope.MODELS], 1, "test")

    def status(value):
        return client.get("/api/v1/models", headers={"Authorization": f"Bearer {value}"}).status_code

    wrong = [status(f"thq_{number}") for number in range(MAX_FAILURES + 1)]

    assert [401] * MAX_FAILURES + [429] == wrong
    assert 200 == status(token)
    assert 200 == client.get("/api/v1/models", auth=("pacs", "correct horse battery")).status_code
