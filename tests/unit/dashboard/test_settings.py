"""The dashboard's settings: a missing secret refuses to start, hosts are read in both forms."""

import pytest
from click.testing import CliRunner

from dashboard.commands.server import dashboard, options
from dashboard.settings import DashboardSettings, UnsafeSettings, dashboard_settings
from worker.settings import settings


@pytest.fixture
def production(data_dir, monkeypatch):
    """A production environment without a secret."""
    monkeypatch.setenv("THORAQ_MODE", "production")
    settings.cache_clear()


def test_a_missing_secret_refuses_to_start_in_production(production):
    """One line says what to set."""
    result = CliRunner().invoke(dashboard)

    assert isinstance(result.exception, UnsafeSettings)
    message = str(result.exception)
    assert message.startswith("THORAQ_SECRET_KEY is not set")
    assert "\n" not in message


def test_a_short_secret_refuses_to_start_and_is_not_printed(production, monkeypatch):
    """Its value stays out of the message."""
    monkeypatch.setenv("THORAQ_SECRET_KEY", "hunter2hunter2")

    with pytest.raises(UnsafeSettings, match="too short") as caught:
        dashboard_settings()

    assert "hunter2" not in str(caught.value)


def test_a_long_secret_is_taken_and_hidden(production, monkeypatch):
    """Its representation is stars."""
    monkeypatch.setenv("THORAQ_SECRET_KEY", "s" * 32)

    found = dashboard_settings()

    assert "s" * 32 == found.signing_key()
    assert "s" * 32 not in repr(found)


@pytest.mark.parametrize(("mode", "secure"), [("production", True), ("demo", False)])
def test_cookies_are_secure_but_for_the_demonstration(data_dir, monkeypatch, mode, secure):
    """The demonstration has no certificate."""
    monkeypatch.setenv("THORAQ_MODE", mode)
    monkeypatch.setenv("THORAQ_SECRET_KEY", "s" * 32)
    settings.cache_clear()

    assert secure == dashboard_settings().secure_cookies


@pytest.mark.parametrize("value", ["a.example, b.example", '["a.example", "b.example"]'])
def test_hosts_are_a_json_list_or_stand_between_commas(data_dir, monkeypatch, value):
    """Both are common in environments."""
    monkeypatch.setenv("THORAQ_TRUSTED_HOSTS", value)

    assert ["a.example", "b.example"] == dashboard_settings().trusted_hosts


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("TRUSTED_HOSTS", "[a"), ("MAX_UPLOAD_BYTES", "-1")])
def test_an_invalid_setting_is_named_in_one_line(data_dir, monkeypatch, name, value):
    """Whoever sets it wrong finds it."""
    monkeypatch.setenv(f"THORAQ_{name}", value)

    with pytest.raises(UnsafeSettings, match=f"THORAQ_{name}") as caught:
        dashboard_settings()

    assert "\n" not in str(caught.value)


def test_the_server_logs_no_request_and_opens_no_control_socket(data_dir):
    """Query strings may carry identifiers; the socket would be a second way in."""
    chosen = options(DashboardSettings(mode="test"), port=9000)

    assert "127.0.0.1:9000" == chosen["bind"]
    assert chosen["accesslog"] is None
    assert chosen["control_socket_disable"] is True
    assert 1 == chosen["workers"]
