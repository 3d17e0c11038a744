"""The history of the schema, which Alembic runs."""
