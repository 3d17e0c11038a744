"""Heat maps; for each process, since when work has waited."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heat_maps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("prediction_id", sa.Integer(), nullable=False),
        sa.Column("finding", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.String(length=512), nullable=True),
        sa.CheckConstraint("state IN ('asked', 'done', 'failed')", name="ck_heat_maps_state"),
        sa.ForeignKeyConstraint(["prediction_id"], ["predictions.id"], name=op.f("fk_heat_maps_prediction_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_heat_maps")),
        sa.UniqueConstraint("prediction_id", "finding", name=op.f("uq_heat_maps_prediction_id_finding")),
    )
    op.create_index("ix_heat_maps_state", "heat_maps", ["state", "id"])
    op.add_column("processes", sa.Column("work_waits_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("processes", "work_waits_since")
    op.drop_index("ix_heat_maps_state", table_name="heat_maps")
    op.drop_table("heat_maps")
