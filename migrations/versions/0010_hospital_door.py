"""Tables of what arrives from PACS and modalities; a submission may be open, so that films can be added."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "arrival_parts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("submission_id", sa.String(length=32), nullable=True),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("closes_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("closed_by", sa.String(length=16), nullable=True),
        sa.Column("expected", sa.Integer(), nullable=True),
        sa.Column("set_aside", sa.Integer(), nullable=False),
        sa.Column("incomplete", sa.Boolean(), nullable=False),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="ck_arrival_parts_closed"),
        sa.ForeignKeyConstraint(["submission_id"], ["submissions.id"], name=op.f("fk_arrival_parts_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrival_parts")),
        sa.UniqueConstraint(
            "source", "study_instance_uid", "number", name=op.f("uq_arrival_parts_source_study_instance_uid_number")
        ),
        sa.UniqueConstraint("submission_id", name=op.f("uq_arrival_parts_submission_id")),
    )
    op.create_index("ix_arrival_parts_open", "arrival_parts", ["closes_at"], postgresql_where=OPEN, sqlite_where=OPEN)
    op.create_table(
        "arrivals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("part_id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("film_sha256", sa.String(length=64), nullable=True),
        sa.Column("image_id", sa.Integer(), nullable=True),
        sa.Column("identity", sa.LargeBinary(), nullable=True),
        sa.Column("identity_mac", sa.String(length=64), nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_arrivals_image_id")),
        sa.ForeignKeyConstraint(["part_id"], ["arrival_parts.id"], name=op.f("fk_arrivals_part_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("part_id", "sop_instance_uid", name=op.f("uq_arrivals_part_id_sop_instance_uid")),
    )
    op.create_index("ix_arrivals_image_id", "arrivals", ["image_id"])
    op.add_column("submissions", sa.Column("open", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("submissions", "open")
    op.drop_table("arrivals")
    op.drop_table("arrival_parts")
