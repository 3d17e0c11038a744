"""Functions that commands share: a query that may find no database."""

from sqlalchemy import select

from worker import database
from worker.commands.console import query_if_possible
from worker.models.records import ModelVersion


def versions(session):
    return list(session.scalars(select(ModelVersion.version)))


def test_a_database_answers(phantom_model):
    """The answer is that of the query."""
    assert [phantom_model] == query_if_possible(versions, "doing without")


def test_without_a_database_there_is_no_answer_and_no_file_appears(data_dir, capsys):
    """A command that only looks must not create a database."""
    assert not database.exists()

    assert query_if_possible(versions, "doing without") is None

    assert not (data_dir / "thoraq.db").exists()
    assert "" == capsys.readouterr().err


def test_a_database_without_a_schema_is_reported_in_one_line(data_dir, capsys):
    """It goes to stderr, since stdout may be JSON."""
    data_dir.mkdir(exist_ok=True)
    (data_dir / "thoraq.db").touch()
    assert database.exists()

    assert query_if_possible(versions, "doing without") is None

    out, err = capsys.readouterr()
    assert "" == out
    assert err.startswith("thoraq: the database does not answer (no such table")
    assert err.endswith("doing without\n")


def test_a_server_and_a_file_elsewhere_are_looked_for_where_they_are(monkeypatch, data_dir, tmp_path):
    """Only SQLite's file can be missing before anybody connects."""
    from worker.settings import settings

    def exists(url):
        monkeypatch.setenv("THORAQ_DATABASE_URL", url)
        settings.cache_clear()
        return database.exists()

    assert exists("postgresql+psycopg://127.0.0.1:1/none")
    assert not exists(f"sqlite:///{tmp_path}/other.db")
    (tmp_path / "other.db").touch()
    assert exists(f"sqlite:///{tmp_path}/other.db")
