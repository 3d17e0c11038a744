"""Tables of the results that are owed to archives, and of the destinations that rest."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
OWED = sa.text("next_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("part_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("replaces_id", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=True),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("refused_at", MOMENT, nullable=True),
        sa.Column("cancelled_at", MOMENT, nullable=True),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=True),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("trouble", sa.String(length=64), nullable=True),
        sa.CheckConstraint("kind IN ('sr', 'picture')", name="ck_exports_kind"),
        sa.ForeignKeyConstraint(["part_id"], ["arrival_parts.id"], name=op.f("fk_exports_part_id")),
        sa.ForeignKeyConstraint(["replaces_id"], ["exports.id"], name=op.f("fk_exports_replaces_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
        sa.UniqueConstraint("key", name=op.f("uq_exports_key")),
        sa.UniqueConstraint(
            "part_id", "destination", "kind", "number", name=op.f("uq_exports_part_id_destination_kind_number")
        ),
    )
    op.create_index("ix_exports_replaces_id", "exports", ["replaces_id"])
    op.create_index("ix_exports_next_at", "exports", ["next_at"], postgresql_where=OWED, sqlite_where=OWED)
    op.create_table(
        "destination_pauses",
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("misconfigured", sa.Boolean(), nullable=False),
        sa.Column("trouble", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_destination_pauses")),
    )


def downgrade() -> None:
    op.drop_table("destination_pauses")
    op.drop_table("exports")
