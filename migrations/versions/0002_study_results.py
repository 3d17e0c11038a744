"""Studies store their result: state, top finding, and for each finding the film that decides."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: For each finding the film with the highest probability, for No-Findings the lowest; the first of equal films.
FINDINGS = """
INSERT INTO study_findings (study_id, finding, probability, image_id)
SELECT study_id, finding, probability, image_id FROM (
  SELECT images.study_id, said.finding, said.probability, images.id AS image_id, row_number() OVER (
    PARTITION BY images.study_id, said.finding
    ORDER BY CASE WHEN said.finding = 'No-Findings' THEN said.probability ELSE -said.probability END, images.id
  ) AS place
  FROM images JOIN finding_probabilities AS said ON said.prediction_id = images.prediction_id
) AS ranked WHERE place = 1
"""
STATES = """
UPDATE studies SET state = CASE
  WHEN EXISTS (SELECT 1 FROM images WHERE study_id = studies.id AND state IN ('waiting', 'scoring')) THEN 'waiting'
  WHEN EXISTS (SELECT 1 FROM images WHERE study_id = studies.id AND state = 'scored') THEN 'scored'
  ELSE 'rejected' END,
  label = (SELECT finding FROM study_findings WHERE study_id = studies.id ORDER BY probability DESC, finding LIMIT 1),
  probability = (SELECT max(probability) FROM study_findings WHERE study_id = studies.id)
"""
MOMENTS = """
UPDATE studies SET finished_at = (SELECT max(finished_at) FROM images WHERE study_id = studies.id)
WHERE state <> 'waiting'
"""


def upgrade() -> None:
    # Plain SQL, because SQLite accepts a constraint with a new column only in this form.
    op.execute(
        "ALTER TABLE studies ADD COLUMN state VARCHAR(16) DEFAULT 'waiting' NOT NULL "
        "CONSTRAINT ck_studies_state CHECK (state IN ('waiting', 'scored', 'rejected'))"
    )
    op.add_column("studies", sa.Column("label", sa.String(length=64), nullable=True))
    op.add_column("studies", sa.Column("probability", sa.Double(), nullable=True))
    op.add_column("studies", sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "study_findings",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("finding", sa.String(length=64), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.CheckConstraint("probability >= 0 AND probability <= 1", name="ck_study_findings_probability"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_study_findings_image_id")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_findings_study_id")),
        sa.PrimaryKeyConstraint("study_id", "finding", name=op.f("pk_study_findings")),
    )
    op.execute(FINDINGS)
    op.execute(STATES)
    op.execute(MOMENTS)
    op.create_index("ix_study_findings_finding", "study_findings", ["finding", "probability"], unique=False)
    op.create_index(op.f("ix_study_findings_image_id"), "study_findings", ["image_id"], unique=False)
    op.create_index("ix_studies_state", "studies", ["state", "id"], unique=False)
    op.create_index("ix_studies_label", "studies", ["label", "state", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_studies_label", table_name="studies")
    op.drop_index("ix_studies_state", table_name="studies")
    op.drop_table("study_findings")
    for column in ("finished_at", "probability", "label", "state"):
        op.drop_column("studies", column)
