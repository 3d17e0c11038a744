"""Studies store when they are due to be read; other systems get tokens; an audit log records who did or saw what."""

import sqlalchemy as sa
from alembic import op

from worker.audit import APPEND_ONLY

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UNREAD = sa.text("read_at IS NULL")
#: SQLite adds a column that may not be null only with a default; every row gets its own value below.
LONG_AGO = "1970-01-01 00:00:00"
MOMENT = sa.DateTime(timezone=True)
#: When a study is due: half a day after its arrival, or on PostgreSQL by a rough severity from its label. The worker
#: writes the exact time with the next outcome.
FILL = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', received_at, '+12 hours') || '000'",
    "postgresql": "received_at + interval '12 hours' * (2 - 2 * COALESCE(CASE label WHEN 'No-Findings' THEN 0 "
    "ELSE probability / 2 END, 0.5))",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.add_column("studies", sa.Column("source", sa.String(64), server_default="", nullable=False))
    for column in ("received_at", "due_at"):
        op.add_column("studies", sa.Column(column, MOMENT, server_default=LONG_AGO, nullable=False))
    op.add_column("studies", sa.Column("read_at", MOMENT, nullable=True))
    op.add_column("studies", sa.Column("model_version_id", sa.Integer(), nullable=True))
    for column in ("source", "received_at"):
        of_submission = f"(SELECT {column} FROM submissions WHERE submissions.id = studies.submission_id)"  # noqa: S608
        op.execute(f"UPDATE studies SET {column} = {of_submission}")  # noqa: S608
    op.execute(f"UPDATE studies SET due_at = {FILL[dialect]}")  # noqa: S608
    op.execute(
        "UPDATE studies SET model_version_id = (SELECT max(predictions.model_version_id) FROM images "
        "JOIN predictions ON predictions.id = images.prediction_id WHERE images.study_id = studies.id)"
    )
    op.create_index("ix_studies_source", "studies", ["source", "id"])
    op.create_index("ix_studies_model_version", "studies", ["model_version_id", "id"])
    op.create_index("ix_studies_received", "studies", ["received_at", "id"])
    for by in ("", "state", "label", "source", "model_version_id"):
        name, columns = f"ix_studies_due{'_' * bool(by)}{by}", [*filter(None, [by]), "due_at", "id"]
        op.create_index(name, "studies", columns, postgresql_where=UNREAD, sqlite_where=UNREAD)
    op.create_index("ix_rejections_rejected_at", "rejections", ["rejected_at", "reason"])
    _create_tokens()
    _create_audit_log(dialect)


def _create_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_tokens_sha256")),
    )
    op.create_index(op.f("ix_api_tokens_user_id"), "api_tokens", ["user_id"])


def _create_audit_log(dialect: str) -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("who", sa.String(64), nullable=True),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(256), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("previous_sha256", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("previous_sha256", name=op.f("uq_audit_log_previous_sha256")),
    )
    op.create_index(op.f("ix_audit_log_at"), "audit_log", ["at"])
    op.create_index(op.f("ix_audit_log_who"), "audit_log", ["who"])
    for statement in APPEND_ONLY[dialect]:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("audit_log")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_log_append_only()")
    op.drop_table("api_tokens")
    op.drop_index("ix_rejections_rejected_at", table_name="rejections")
    for by in ("", "state", "label", "source", "model_version_id"):
        op.drop_index(f"ix_studies_due{'_' * bool(by)}{by}", table_name="studies")
    for name in ("received", "model_version", "source"):
        op.drop_index(f"ix_studies_{name}", table_name="studies")
    for column in ("model_version_id", "read_at", "due_at", "received_at", "source"):
        op.drop_column("studies", column)
