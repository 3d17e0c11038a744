"""Runs the revisions against the configured database."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from alembic import context
from sqlalchemy import Connection

import migrations.schema  # noqa: F401 - registers every table
from worker.database import Base, engine
from worker.database.postgres import long_statements


@contextmanager
def _tables_may_be_copied(connection: Connection) -> Iterator[None]:
    """Let SQLite drop a table that others refer to, while its altered copy takes its name."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.cursor()  # The pragma works outside a transaction only.
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


with engine().connect() as connection, _tables_may_be_copied(connection):
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite cannot alter most things in place; Alembic copies the table instead.
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    # A revision may rewrite a table of millions of rows.
    patient = long_statements(connection) if connection.dialect.name == "postgresql" else nullcontext()
    with context.begin_transaction(), patient:
        context.run_migrations()
