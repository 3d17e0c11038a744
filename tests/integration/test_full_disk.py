"""A disk that is really full: nothing is half written, senders are told when to come back, and no film is charged."""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import forget_settings
from dashboard_server import Server
from deployment import CHECKOUT
from PIL import Image as Picture
from sqlalchemy import update

from dashboard.accounts import accounts
from dashboard.accounts.accounts import Role
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker.database import Base, engine, reading, transaction
from worker.films.phantoms import draw
from worker.models import directory, registry
from worker.scoring.scorer import Scorer
from worker.settings import settings
from worker.studies.records import Image, ImageState, Priority, Submission
from worker.submissions import intake

PASSWORD = "correct horse battery"
MULTIPART = "multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="films"; filename="a"\r\n\r\n'
BASIC = {"Authorization": "Basic " + base64.b64encode(f"pacs-north:{PASSWORD}".encode()).decode()}


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """The data directory on a file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "thoraq-test", str(folder)], capture_output=True)
    if mounted.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root may mount a small disk")
    monkeypatch.setenv("THORAQ_DATA_DIR", str(folder))
    monkeypatch.setenv("THORAQ_MIN_FREE_BYTES", "100000")
    forget_settings()
    yield folder
    forget_settings()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def database_elsewhere(disk, tmp_path, monkeypatch):
    """A database on another disk than the archive."""
    monkeypatch.setenv("THORAQ_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    forget_settings()


@pytest.fixture
def client():
    """The dashboard, with a system and a person."""
    import migrations.schema  # noqa: F401

    Base.metadata.create_all(engine())
    accounts.add("pacs-north", PASSWORD, Role.UPSTREAM, "test")
    accounts.add("alice", PASSWORD, Role.CLINICIAN, "test")
    return create_app(DashboardSettings(mode="test", secure_cookies=False)).test_client()


def fill(disk: Path, leave: int = 0) -> Path:
    """Take all the room but `leave` bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return filler


def contents(disk: Path) -> set[Path]:
    return {path for path in disk.rglob("*") if path.is_file()}


def films(*sizes: int) -> dict[str, object]:
    return {"films": [(io.BytesIO(bytes([size % 251]) * size), f"{size}.png") for size in sizes], "request_id": "r-1"}


def send(client, *sizes: int):
    return client.post("/api/v1/submissions", data=films(*sizes), headers=BASIC)


def storage(client) -> tuple[int, str]:
    answer = client.get("/health/ready")
    return answer.status_code, answer.json["dependencies"]["storage"]["state"]


def log_in(client) -> int:
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login").text)[1]
    return client.post("/login", data={"csrf_token": token, "name": "alice", "password": PASSWORD}).status_code


@pytest.mark.usefixtures("database_elsewhere")
def test_an_upload_for_which_the_archive_has_no_room_is_507_and_can_be_repeated(disk, client, caplog):
    """The second of two films does not fit: no row, no part of a file, one line in the log."""
    assert (200, "up") == storage(client)
    filler = fill(disk, leave=300_000)

    refused = send(client, 100_000, 400_000)

    assert (507, "storage_full") == (refused.status_code, refused.json["code"])
    assert int(refused.headers["Retry-After"]) > 0
    assert 1 == sum(record.levelname == "ERROR" for record in caplog.records)
    assert "Traceback" not in caplog.text
    with reading() as session:
        assert 0 == session.query(Submission).count()
    assert {filler, *disk.glob("archive/*/*")} == contents(disk)
    assert all(path.stat().st_size == 100_000 for path in disk.glob("archive/*/*"))
    fill(disk)
    assert (503, "down") == storage(client)

    filler.unlink()
    assert (202, (200, "up")) == (send(client, 100_000, 400_000).status_code, storage(client))


@pytest.mark.usefixtures("database_elsewhere")
def test_an_upload_that_cannot_even_be_received_is_507(disk, tmp_path):
    """The server stores it until it is complete."""
    server = Server(disk, THORAQ_DATABASE_URL=f"sqlite:///{tmp_path / 'elsewhere.db'}").wait()
    try:
        filler = fill(disk, leave=500_000)
        body = FILE + bytes(3_000_000) + b"\r\n--b--\r\n"
        assert (507, "storage_full") == server.submit(body, MULTIPART)
        server.assert_prompt()
        filler.unlink()
        assert (202, None) == server.submit(body[:-3_000_000] + b"\r\n--b--\r\n", MULTIPART)
        errors = [line for line in server.log.read_text().splitlines() if "ERROR" in line]
        assert ["a request cannot be stored: no space left on device"] == [
            line[line.index("a request") :] for line in errors
        ]
    finally:
        server.stop()


@pytest.mark.usefixtures("database_elsewhere")
def test_the_page_says_that_there_is_no_room(disk, client):
    """The person gets a page, not a stack trace."""
    log_in(client)
    page = client.get("/upload").text
    fields = {name: re.search(rf'name="{name}"[^>]*value="([^"]+)"', page)[1] for name in ("csrf_token", "request_id")}
    fill(disk)

    answer = client.post("/upload", data=films(100_000) | fields | {"priority": "routine"})

    assert 507 == answer.status_code
    assert "There is no room" in answer.text


def test_a_database_without_room_is_503_everywhere(disk, client, caplog):
    """SQLite says `database or disk is full`, or that it cannot write its log."""
    filler = fill(disk)
    message = {"schema": "cxr.score.request", "schema_version": "1.0", "source": "pacs-north", "request_id": "r-1",
               "image": {"path": "a.png"}, "note": "x" * 100_000}  # fmt: skip

    submitted = client.post("/api/v1/submissions", json=message, headers=BASIC)

    assert (503, "database_unavailable") == (submitted.status_code, submitted.json["code"])
    assert int(submitted.headers["Retry-After"]) > 0
    assert 503 == log_in(client)
    assert (503, "down") == storage(client)
    assert "Traceback" not in caplog.text
    filler.unlink()
    assert 202 == client.post("/api/v1/submissions", json=message, headers=BASIC).status_code
    assert 303 == log_in(client)


@pytest.mark.usefixtures("database_elsewhere", "client")
def test_a_command_ends_with_one_line(disk, tmp_path):
    """`thoraq submit` stores no submission, `thoraq models import` publishes no half of a version."""
    film = tmp_path / "film.png"
    film.write_bytes(os.urandom(100_000))
    environment = os.environ | {"THORAQ_MODE": "demo", "THORAQ_BROKER_URL": "redis://127.0.0.1:1/0"}
    filler = fill(disk)

    for arguments in (("submit", str(film)), ("models", "import")):
        done = subprocess.run(
            [sys.executable, "-m", "worker", *arguments], env=environment, cwd=CHECKOUT, capture_output=True, text=True
        )
        assert (1, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
        assert "no space left on device" in done.stderr
    assert {filler} == contents(disk)
    with reading() as session:
        assert 0 == session.query(Submission).count()


@pytest.mark.usefixtures("database_elsewhere", "client")
def test_a_film_whose_preview_cannot_be_stored_waits_and_is_not_charged(disk, caplog, monkeypatch):
    """It is scored once there is room."""
    monkeypatch.setattr("worker.wakeups.wake_scorers", lambda *_: True)
    with transaction() as session:
        registry.import_model(session, directory.SHIPPED_PHANTOMS, settings().models_dir)
    buffer = io.BytesIO()
    Picture.fromarray(draw("Opacity", 1)).save(buffer, "PNG")
    intake.submit_files([("film", buffer.getvalue())], source="t", request_id=None, priority=Priority.ROUTINE)
    filler = fill(disk)

    Scorer(settings()).score_waiting(owner="t")

    with reading() as session:
        image = session.query(Image).one()
        assert (ImageState.WAITING, 0) == (image.state, image.attempts)
    assert not [path for path in disk.glob("previews/**/*") if path.is_file()]
    assert "no space left on device" in caplog.text
    filler.unlink()
    with transaction() as session:
        session.execute(update(Image).values(not_before=None))
    Scorer(settings()).score_waiting(owner="t")
    with reading() as session:
        assert (ImageState.SCORED, 1) == ((image := session.query(Image).one()).state, image.attempts)
