"""The receiver refuses to start without what it needs, and its doors know who may call."""

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from worker.cli import InstalledCommands
from worker.errors import NotConfigured
from worker.settings import Settings, settings
from worker.settings.doors import Door

DOORS = '{"THORAQ": {"source": "pacs-north", "callers": {"PACS1": ["127.0.0.1"]}}}'
ANYBODY = '{"THORAQ": {"source": "pacs-north", "callers": {"PACS1": []}}}'
OWING = '{"THORAQ": {"source": "pacs-north", "callers": {"PACS1": []}, "results": ["pacs"]}}'


@pytest.fixture
def start(data_dir, monkeypatch, tmp_path):
    """Start the receiver with settings, and return its error."""
    monkeypatch.setenv("THORAQ_BROKER_URL", "redis://127.0.0.1:1/0")
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "short").write_bytes(b"k" * 31)

    def begin(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"THORAQ_{name}", value.replace("TMP", str(tmp_path)))
        settings.cache_clear()
        done = CliRunner().invoke(InstalledCommands(), ["receiver"])
        return done.exception or done.output

    return begin


PACS = '{"pacs": {"kind": "dicom", "host": "127.0.0.1", "port": 104, "called": "PACS1", "calling": "THORAQ"}}'


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "THORAQ_DOORS names no door"),
        ({"DOORS": DOORS}, "THORAQ_PSEUDONYM_KEY is not set"),
        ({"DOORS": DOORS, "PSEUDONYM_KEY": "TMP/short"}, "fewer than 32 bytes"),
        (
            {"DOORS": OWING, "DESTINATIONS": PACS, "PSEUDONYM_KEY": "TMP/key"},
            "THORAQ_IDENTITY_CERTIFICATE is not set",
        ),
        (
            {"DOORS": DOORS, "PSEUDONYM_KEY": "TMP/key", "IDENTITY_CERTIFICATE": "TMP/key"},
            "THORAQ_IDENTITY_CERTIFICATE: ",
        ),
        (
            {
                "DOORS": DOORS, "PSEUDONYM_KEY": "TMP/key",
                "RECEIVER_TLS_CERTIFICATE": "TMP/key", "RECEIVER_TLS_KEY": "TMP/key",
            },
            "THORAQ_RECEIVER_TLS_*",
        ),
    ],
)  # fmt: skip
def test_the_receiver_says_what_is_missing(start, values, words):
    """In one line, before it listens."""
    error = start(**values)

    assert isinstance(error, NotConfigured)
    assert words in str(error)


def test_an_address_in_use_is_one_line(start):
    """`THORAQ_RECEIVER_HOST` and `THORAQ_RECEIVER_PORT` say where it listens."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        error = start(DOORS=DOORS, PSEUDONYM_KEY="TMP/key", RECEIVER_HOST="127.0.0.1", RECEIVER_PORT=port)

    assert isinstance(error, SystemExit)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"DOORS": ANYBODY}, "each caller of THORAQ needs an address"),
        ({"RECEIVER_TLS_KEY": "key"}, "belong together"),
        ({"RECEIVER_TLS_AUTHORITIES": "ca"}, "needs THORAQ_RECEIVER_TLS_CERTIFICATE"),
        ({"DOORS": '{"A\\\\B": {"source": "s", "callers": {"P": []}}}'}, "pattern"),
        ({"DOORS": '{"THORAQ": {"source": "s", "callers": {}}}'}, "at least 1"),
        ({"DOORS": '{"THORAQ": {"source": "s", "callers": {"P": []}, "query": "pacs"}}'}, "Extra"),
    ],
)
def test_settings_that_let_anybody_in_are_refused(monkeypatch, values, words):
    """An AE title is no secret."""
    monkeypatch.setenv("THORAQ_MODE", "production")
    for name, value in values.items():
        monkeypatch.setenv(f"THORAQ_{name}", value)

    with pytest.raises(ValidationError, match=words):
        Settings(_env_file=None)


def test_client_certificates_may_stand_for_addresses(monkeypatch):
    """Then a caller has to have a key."""
    monkeypatch.setenv("THORAQ_MODE", "production")
    monkeypatch.setenv("THORAQ_DOORS", ANYBODY)
    for name in ("CERTIFICATE", "KEY", "AUTHORITIES"):
        monkeypatch.setenv(f"THORAQ_RECEIVER_TLS_{name}", "file")

    assert ["THORAQ"] == list(Settings(_env_file=None).doors)


@pytest.mark.parametrize(
    ("networks", "address", "admitted"),
    [
        ([], "10.1.2.3", True),
        (["10.1.2.3"], "10.1.2.3", True),
        (["10.1.0.0/16"], "10.1.2.3", True),
        (["10.1.2.4", "192.168.0.0/16"], "10.1.2.3", False),
        (["::1"], "::1", True),
        (["10.1.2.3"], "::ffff:10.1.2.3", True),
    ],
)
def test_a_caller_is_known_by_title_and_address(networks, address, admitted):
    """Both must be declared."""
    door = Door(source="s", callers={"PACS1": networks})

    assert admitted == door.admits("PACS1", address)
    assert not door.admits("PACS2", address)


def test_a_door_has_the_silence_of_its_priority():
    """Unless it says otherwise."""
    callers = {"PACS1": []}

    assert 5 == Door(source="s", callers=callers, priority="urgent").silence
    assert 20 == Door(source="s", callers=callers).silence
    assert 7.5 == Door(source="s", callers=callers, silence_seconds=7.5).silence
