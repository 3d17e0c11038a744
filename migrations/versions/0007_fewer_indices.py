"""Drops indexes that no query needs; each cost an insert for every film."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: Table, index, its columns. Few images are being scored at a time, and `ix_images_claim` finds them.
UNUSED = (
    ("study_findings", "ix_study_findings_finding", ["finding", "probability"]),
    ("study_findings", "ix_study_findings_image_id", ["image_id"]),
    ("images", "ix_images_lease", ["state", "lease_until"]),
    ("images", "ix_images_owner", ["owner"]),
    ("predictions", "ix_predictions_label", ["label", "probability"]),
)


def upgrade() -> None:
    for table, name, _ in UNUSED:
        op.drop_index(name, table_name=table)


def downgrade() -> None:
    for table, name, columns in UNUSED:
        op.create_index(name, table, columns, unique=False)
