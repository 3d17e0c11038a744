"""Runs the revisions against the configured database; knows the tables of every package."""

from alembic import context

import dashboard.accounts  # noqa: F401 - its tables belong to the schema
import worker.delivery_records
import worker.explanations
import worker.records  # noqa: F401 - likewise
from worker.database import Base, engine

with engine().connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite cannot alter most things in place; Alembic copies the table instead.
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
