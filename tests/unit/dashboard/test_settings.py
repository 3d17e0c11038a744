"""The dashboard's settings: defaults, validation, and their effects."""

import io
from datetime import timedelta

import pytest
from click.testing import CliRunner
from flask import request

from dashboard.accounts.access import public
from dashboard.accounts.accounts import Role
from dashboard.app import create_app
from dashboard.commands.server import dashboard, options
from dashboard.settings import DashboardSettings, UnsafeSettings, dashboard_settings
from worker.database import now
from worker.settings import settings


@pytest.fixture
def production(data_dir, monkeypatch):
    """A production environment without a secret."""
    monkeypatch.setenv("THORAQ_MODE", "production")
    settings.cache_clear()


def test_a_missing_secret_refuses_to_start_in_production(production):
    """The message has one line and says what to set."""
    result = CliRunner().invoke(dashboard)

    assert isinstance(result.exception, UnsafeSettings)
    message = str(result.exception)
    assert message.startswith("THORAQ_SECRET_KEY is not set")
    assert "\n" not in message


def test_a_short_secret_refuses_to_start_and_is_not_printed(production, monkeypatch):
    """The message does not contain its value."""
    monkeypatch.setenv("THORAQ_SECRET_KEY", "hunter2hunter2")

    with pytest.raises(UnsafeSettings, match="too short") as caught:
        dashboard_settings()

    assert "hunter2" not in str(caught.value)


def test_a_long_secret_is_taken_and_hidden(production, monkeypatch):
    """Its representation does not show it."""
    monkeypatch.setenv("THORAQ_SECRET_KEY", "s" * 32)

    own_settings = dashboard_settings()

    assert "s" * 32 == own_settings.signing_key()
    assert "s" * 32 not in repr(own_settings)


@pytest.mark.parametrize(("mode", "secure"), [("production", True), ("demo", False)])
def test_cookies_are_secure_but_for_the_demonstration(data_dir, monkeypatch, mode, secure):
    """The demonstration has no TLS certificate."""
    monkeypatch.setenv("THORAQ_MODE", mode)
    monkeypatch.setenv("THORAQ_SECRET_KEY", "s" * 32)
    settings.cache_clear()

    assert secure == dashboard_settings().secure_cookies


@pytest.mark.parametrize("value", ["a.example, b.example", '["a.example", "b.example"]'])
def test_hosts_are_a_json_list_or_stand_between_commas(data_dir, monkeypatch, value):
    """Both formats are common."""
    monkeypatch.setenv("THORAQ_TRUSTED_HOSTS", value)

    assert ["a.example", "b.example"] == dashboard_settings().trusted_hosts


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("TRUSTED_HOSTS", "[a"), ("MAX_UPLOAD_BYTES", "-1")])
def test_an_invalid_setting_is_named_in_one_line(data_dir, monkeypatch, name, value):
    """The message names the setting."""
    monkeypatch.setenv(f"THORAQ_{name}", value)

    with pytest.raises(UnsafeSettings, match=f"THORAQ_{name}") as caught:
        dashboard_settings()

    assert "\n" not in str(caught.value)


def test_the_server_logs_no_request_and_opens_no_control_socket(data_dir):
    """Query strings may have identifiers, and the socket would be another entry."""
    chosen = options(DashboardSettings(mode="test"), port=9000)

    assert "127.0.0.1:9000" == chosen["bind"]
    assert chosen["accesslog"] is None
    assert chosen["control_socket_disable"] is True
    assert 1 == chosen["workers"]


@pytest.fixture
def application(database, monkeypatch):
    """A function that builds the application with an environment."""

    def build(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"THORAQ_{name}", value)
        app = create_app(dashboard_settings())
        app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
        return app

    return build


@pytest.fixture
def visitor(application, auth):
    """A function that logs a person in at an application with an environment."""

    def log_in(role=Role.VIEWER, **variables):
        auth.client = application(SECURE_COOKIES="false", **variables).test_client()
        auth.login(role)
        return auth

    return log_in


@pytest.mark.parametrize(("value", "name"), [("true", "__Host-thoraq"), ("false", "thoraq")])
def test_cookies_are_secure_or_not_as_set(application, value, name):
    """THORAQ_SECURE_COOKIES overrides the default of the mode."""
    config = application(SECURE_COOKIES=value).config

    assert (value == "true", name) == (config["SESSION_COOKIE_SECURE"], config["SESSION_COOKIE_NAME"])


@pytest.mark.parametrize("variable", ["SESSION_IDLE_SECONDS", "SESSION_ABSOLUTE_SECONDS"])
def test_a_session_ends_after_the_configured_time(visitor, monkeypatch, variable):
    """After THORAQ_SESSION_IDLE_SECONDS without a request, and after THORAQ_SESSION_ABSOLUTE_SECONDS in any case."""
    client = visitor(**{variable: "100"}).client
    moment = now()
    monkeypatch.setattr("dashboard.accounts.sessions.now", lambda: moment + timedelta(seconds=90))
    assert 200 == client.get("/studies").status_code

    monkeypatch.setattr("dashboard.accounts.sessions.now", lambda: moment + timedelta(seconds=200))

    assert "/login" in client.get("/studies").location


@pytest.mark.parametrize(("hops", "address"), [("0", "127.0.0.1"), ("1", "192.0.2.7")])
def test_the_address_of_a_client_is_taken_from_as_many_proxies_as_set(application, hops, address):
    """THORAQ_PROXY_HOPS is the number of trusted proxies."""
    app = application(PROXY_HOPS=hops)
    app.add_url_rule("/address", view_func=public(lambda: str(request.remote_addr)), endpoint="address")

    answer = app.test_client().get("/address", headers={"X-Forwarded-For": "192.0.2.7"})

    assert address == answer.text


def test_an_upload_over_the_limit_is_refused(visitor):
    """THORAQ_MAX_UPLOAD_BYTES counts the whole request."""
    auth = visitor(Role.CLINICIAN, MAX_UPLOAD_BYTES="2000")
    form = {"csrf_token": auth.token("/upload"), "films": (io.BytesIO(bytes(5000)), "film.png")}

    assert 413 == auth.client.post("/upload", data=form).status_code


def test_metrics_are_there_for_who_has_the_token(application):
    """The token is THORAQ_METRICS_TOKEN."""
    client = application(METRICS_TOKEN="let-me-see").test_client()

    assert 200 == client.get("/metrics", headers={"Authorization": "Bearer let-me-see"}).status_code


def test_the_server_listens_and_answers_as_set(data_dir, monkeypatch):
    """At THORAQ_HOST and THORAQ_PORT, with THORAQ_THREADS threads."""
    for name, value in (("HOST", "::1"), ("PORT", "9001"), ("THREADS", "3")):
        monkeypatch.setenv(f"THORAQ_{name}", value)

    chosen = options(dashboard_settings())

    assert ("[::1]:9001", 3) == (chosen["bind"], chosen["threads"])


@pytest.mark.parametrize(
    ("mode", "broker", "own", "expected"),
    [
        ("production", "redis://broker:6379/0", None, "redis://broker:6379/0"),
        ("production", "amqp://broker", None, None),
        ("production", "redis://broker:6379/0", "redis://other:6379/1", "redis://other:6379/1"),
        ("production", "redis://broker:6379/0", "memory://", None),
        ("demo", "redis://broker:6379/0", None, None),
        ("test", "redis://broker:6379/0", None, None),
    ],
)
def test_failed_log_ins_are_counted_in_the_brokers_redis_in_production(
    data_dir, monkeypatch, mode, broker, own, expected
):
    """A setting overrides it; elsewhere they are counted in memory."""
    monkeypatch.setenv("THORAQ_MODE", mode)
    monkeypatch.setenv("THORAQ_SECRET_KEY", "s" * 32)
    monkeypatch.setenv("THORAQ_BROKER_URL", broker)
    if own:
        monkeypatch.setenv("THORAQ_LOGIN_FAILURES_URL", own)
    settings.cache_clear()

    assert expected == dashboard_settings().login_failures_redis_url()


def test_another_store_for_failed_log_ins_is_refused(data_dir, monkeypatch):
    """A typing error must not switch the limit off."""
    monkeypatch.setenv("THORAQ_LOGIN_FAILURES_URL", "memcached://cache:11211")

    with pytest.raises(UnsafeSettings, match="THORAQ_LOGIN_FAILURES_URL"):
        dashboard_settings()


def test_several_processes_need_one_secret(data_dir, monkeypatch):
    """A session that one process signed must be valid in the others."""
    monkeypatch.setenv("THORAQ_DASHBOARD_PROCESSES", "2")

    with pytest.raises(UnsafeSettings, match="THORAQ_SECRET_KEY"):
        dashboard_settings()

    monkeypatch.setenv("THORAQ_SECRET_KEY", "s" * 32)
    assert 2 == options(dashboard_settings())["workers"]
