"""A replay can end a rejection; a submission can name an endpoint to notify when it is finished."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("submission_id", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trouble", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(["submission_id"], ["submissions.id"], name=op.f("fk_deliveries_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("event_id", name=op.f("uq_deliveries_event_id")),
        sa.UniqueConstraint("submission_id", "sequence", name=op.f("uq_deliveries_submission_id_sequence")),
    )
    op.create_index("ix_deliveries_next_at", "deliveries", ["next_at"], unique=False)
    op.add_column("submissions", sa.Column("callback", sa.String(length=64), nullable=True))
    op.add_column("submissions", sa.Column("callback_due", sa.Boolean(), nullable=True))
    op.create_index(op.f("ix_submissions_callback_due"), "submissions", ["callback_due"], unique=False)
    # Nothing refers to rejections, so SQLite may copy the table.
    with op.batch_alter_table("rejections") as table:
        table.add_column(sa.Column("attempts", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("replayed_by", sa.String(length=64), nullable=True))
        table.drop_constraint(op.f("uq_rejections_image_id"), type_="unique")
        table.drop_index(op.f("ix_rejections_reason"))
        table.create_index(op.f("ix_rejections_image_id"), ["image_id"], unique=False)
        table.create_index("ix_rejections_reason", ["reason", "id"], unique=False)
    standing = sa.text("replayed_at IS NULL")
    op.create_index(
        "uq_rejections_standing",
        "rejections",
        ["image_id"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )


def downgrade() -> None:
    op.execute("DELETE FROM rejections WHERE replayed_at IS NOT NULL")
    op.drop_index("uq_rejections_standing", table_name="rejections")
    with op.batch_alter_table("rejections") as table:
        table.drop_index("ix_rejections_reason")
        table.drop_index(op.f("ix_rejections_image_id"))
        table.create_index(op.f("ix_rejections_reason"), ["reason"], unique=False)
        table.create_unique_constraint(op.f("uq_rejections_image_id"), ["image_id"])
        for column in ("replayed_by", "replayed_at", "attempts"):
            table.drop_column(column)
    op.drop_index(op.f("ix_submissions_callback_due"), table_name="submissions")
    for column in ("callback_due", "callback"):
        op.drop_column("submissions", column)
    op.drop_index("ix_deliveries_next_at", table_name="deliveries")
    op.drop_table("deliveries")
