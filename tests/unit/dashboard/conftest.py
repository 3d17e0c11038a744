"""Fixtures: the application with an empty database, a client that logs in, and rows like those of the worker."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from cards import card
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboard.accounts import accounts
from dashboard.accounts.accounts import Role
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker.database import now, transaction
from worker.models.documents.report import Report
from worker.models.records import Activation, ModelVersion
from worker.monitoring.drift import Day, Moments
from worker.monitoring.records import DriftAlarm, DriftDay, Process
from worker.studies import results
from worker.studies.records import Image, ImageState, Prediction, Priority, Rejection, Study, Submission

CLASSES = ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax")
MAX_UPLOAD_BYTES = 300_000
PASSWORD = "correct horse battery"


@pytest.fixture
def app(database: Path) -> Flask:
    """The application as in production, but without HTTPS and with errors turned into pages."""
    app = create_app(DashboardSettings(mode="test", secure_cookies=False, max_upload_bytes=MAX_UPLOAD_BYTES))
    app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a session."""
    return app.test_client()


@dataclass
class Auth:
    """Uses the log-in page as a person does."""

    client: FlaskClient

    def token(self, path: str = "/login") -> str:
        """Return the CSRF token of the first form of a page."""
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.client.get(path).text)
        assert token, f"no form at {path}"
        return token[1]

    def account(self, role: Role, name: str | None = None) -> str:
        """Add an account and return its name."""
        name = name or role.value
        accounts.add(name, PASSWORD, role, "test")
        return name

    def enter(self, name: str, password: str = PASSWORD, **fields: str) -> TestResponse:
        """Fill in and send the log-in form."""
        form = {"csrf_token": self.token(), "name": name, "password": password, **fields}
        return self.client.post("/login", data=form)

    def login(self, role: Role = Role.ADMIN) -> None:
        """Add an account with this role and log in."""
        assert self.enter(self.account(role)).status_code == 303


@pytest.fixture
def auth(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> Auth:
    """The log-in page of `client`; password hashes are made cheap, to save time."""
    monkeypatch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return Auth(client)


@pytest.fixture
def basic(auth: Auth) -> dict[str, str]:
    """The header of an upstream system that has an account."""
    name = auth.account(Role.UPSTREAM, "pacs-north")
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()}


@dataclass
class Rows:
    """Writes rows as the worker does."""

    _number: Iterator[int] = field(default_factory=lambda: count(1))

    def model(self, version: str = "v3-0123456789ab", trained_on: str = "films", report: Mapping | None = None) -> int:
        """Register and activate a model version; return its id."""
        limits = ["One label for each film: two findings at once cannot be told."]
        known = card(version=version, network="v3", classes=CLASSES, trained_on=trained_on, limits=limits, metrics={})
        stored = Report.model_validate(report or {})
        with transaction() as session:
            model = ModelVersion(version=version, sha256="0" * 64, card=known, report=stored)
            session.add(model)
            session.flush()
            session.add(Activation(model_version_id=model.id, activated_by="test"))
            return model.id

    def study(self, *films: "Mapping[str, float] | str | None", model: int | None = None, **fields: object) -> int:
        """Write a study of films: probabilities (scored), a reason (rejected) or None (waiting); return its id."""
        number = next(self._number)
        with transaction() as session:
            submission = Submission(
                id=f"{number:032x}",
                source="pacs-north",
                request_id=str(number),
                content_sha256="0" * 64,
                priority=Priority.ROUTINE,
                refused=[],
                extra={},
            )
            study = Study(**{"submission": submission, "source": submission.source} | fields)
            session.add(study)
            session.flush()
            images = [
                self._film(session, study.id, f"{number:060x}{index:04x}", film, model)
                for index, film in enumerate(films)
            ]
            session.add_all(images)
            session.flush()
            results.update(session, [image.id for image in images])
            return study.id

    @staticmethod
    def _film(session, study_id: int, sha256: str, film, model: int | None) -> Image:
        image = Image(
            study_id=study_id, root="archive", path=sha256, sha256=sha256, priority=1, reference=f"film-{sha256[-4:]}"
        )
        if film is None:
            return image
        image.finished_at = now()
        if isinstance(film, str):
            image.state = ImageState.REJECTED
            image.rejection = Rejection(reason=film, detail="the file is broken")
            return image
        top = max(film, key=film.get)
        image.state = ImageState.SCORED
        image.prediction = Prediction(
            image_sha256=sha256,
            model_version_id=model,
            label=top,
            probability=film[top],
            probabilities=dict(film),
        )
        return image

    def process(self, seen_seconds_ago: float = 0, kind: str = "worker", name: str = "worker-1@host") -> None:
        """Write a process's last heartbeat."""
        seen = now() - timedelta(seconds=seen_seconds_ago)
        with transaction() as session:
            session.merge(
                Process(
                    name=name,
                    kind=kind,
                    started_at=seen,
                    seen_at=seen,
                    model_version="v3-0123456789ab",
                    device="tensorflow cpu",
                    finished_at=seen,
                )
            )


@pytest.fixture
def rows(database: Path) -> Rows:
    """Writes rows as the worker does."""
    return Rows()


def scores(**changed: float) -> dict[str, float]:
    """Return six probabilities; names with `_` for `-`."""
    base = dict.fromkeys(CLASSES, 0.02)
    return base | {name.replace("_", "-"): value for name, value in changed.items()}


@pytest.fixture(name="scores")
def scores_fixture():
    """A function that returns six probabilities, some of them given."""
    return scores


@pytest.fixture
def monitored_day(rows: Rows) -> date:
    """A reference of 240 films, and a brighter day after it with its alarm; that day."""
    version = rows.model()
    today = now().date()
    with transaction() as session:
        for days_ago, films, grey in ((3, 240, 100.0), (1, 40, 150.0)):
            moments = {"grey_mean": Moments(n=films, total=films * grey, squares=films * (grey**2 + 25))}
            figures = Day(scored=films, rejected=2, moments=moments, labels={"Effusions": films})
            session.add(
                DriftDay(
                    day=today - timedelta(days=days_ago), source="pacs-north", model_version_id=version, figures=figures
                )
            )
        session.add(
            DriftAlarm(
                day=today - timedelta(days=1), source="pacs-north", model_version_id=version, kind="grey_mean",
                reason="mean 150 of 40 films; the reference has 100",
            )
        )  # fmt: skip
    return today - timedelta(days=1)
