"""A database of an earlier version can be used after `thoraq db upgrade`."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import JSON, TypeDecorator, select

from worker import audit, cli
from worker.database import Base, engine, reading

GOLDEN = Path(__file__).parents[2] / "golden" / "database_7ff12bd.sql"
FIRST_PAGES = ("/studies", "/queue/", "/queue/rejected", "/models/", "/training/", "/drift", "/admin/accounts")
MORE_PAGES = ("/admin/audit", "/studies/export.csv", "/studies/export.json", "/models/compare", "/models/rollback")


@pytest.fixture
def database(data_dir, monkeypatch):
    """The stored database in a data directory of this version, brought up to date; always SQLite, which wrote it."""
    data_dir.mkdir(exist_ok=True)
    monkeypatch.delenv("THORAQ_DATABASE_URL", raising=False)
    connection = sqlite3.connect(data_dir / "thoraq.db")
    connection.executescript(GOLDEN.read_text(encoding="utf-8"))
    connection.close()
    upgraded = CliRunner().invoke(cli.InstalledCommands(), ["db", "upgrade"])
    assert 0 == upgraded.exit_code, upgraded.output
    return data_dir


def test_the_schema_is_the_one_that_this_version_wants(database):
    """`thoraq db check` has nothing to say."""
    assert 0 == CliRunner().invoke(cli.InstalledCommands(), ["db", "check"]).exit_code


def test_every_row_of_every_table_is_read(database):
    """Documents in JSON columns become objects; each table that there was has at least one row."""
    rows = {}
    with reading() as session:
        for mapper in Base.registry.mappers:
            rows[mapper.local_table.name] = session.scalars(select(mapper.class_)).all()

    there_were = set(re.findall(r'CREATE TABLE "?(\w+)', GOLDEN.read_text(encoding="utf-8")))
    assert {name for name in Base.metadata.tables if name in there_were and not rows[name]} == set()
    assert len(there_were & set(Base.metadata.tables)) > 15


def test_documents_are_written_as_they_were_read(database):
    """A card, a report, a verdict or a day's figures that nobody changed stays the same JSON, key by key."""
    documents = 0
    with engine().connect() as connection:
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, TypeDecorator) and isinstance(column.type.impl, JSON):
                    query = f'SELECT "{column.name}" FROM "{table.name}"'
                    stored = connection.exec_driver_sql(query).scalars().all()
                    read = connection.execute(select(column)).scalars().all()
                    for text, document in zip(stored, read, strict=True):
                        written = column.type.process_bind_param(document, engine().dialect)
                        assert (text and json.loads(text)) == written, f"{table.name}.{column.name}"
                        documents += 1

    assert documents > 20


def test_the_audit_log_is_whole(database):
    """Its chain of hashes was written by the earlier version."""
    with reading() as session:
        assert len(audit.newest(session)) > 0
        assert audit.first_broken(session) is None


def test_every_page_shows_it(database, auth, client):
    """Studies, models, runs and figures are shown as before the upgrade."""
    auth.login()
    with reading() as session:
        from worker.models.records import ModelVersion, RetrainingRun
        from worker.studies.records import Study

        pages = [f"/studies/{number}" for number in session.scalars(select(Study.id))]
        pages += [f"/models/{version}" for version in session.scalars(select(ModelVersion.version))]
        pages += [f"/training/{number}" for number in session.scalars(select(RetrainingRun.id))]
    answers = {page: client.get(page).status_code for page in (*FIRST_PAGES, *MORE_PAGES, *pages)}

    assert {page: code for page, code in answers.items() if code != 200} == {}
