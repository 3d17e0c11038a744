"""Moves probabilities into the rows of predictions and studies, and a film's summary into the row of its image.

The three tables that held them cost thirteen inserts for each film, and no query needs a single row of theirs.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LOOK: dict[str, sa.types.TypeEngine[Any]] = {
    "grey_mean": sa.Double(),
    "grey_spread": sa.Double(),
    "height_pixels": sa.Integer(),
    "width_pixels": sa.Integer(),
}
#: How each database makes rows into a JSON object (`GATHERED`, `DECIDED`), and an object into rows (`MEMBER`).
GATHERED = {"postgresql": "json_object_agg({key}, {value})", "sqlite": "json_group_object({key}, {value})"}
DECIDED = {
    "postgresql": "json_build_object('probability', probability, 'image_id', image_id)",
    "sqlite": "json_object('probability', probability, 'image_id', image_id)",
}
MEMBER = {
    "postgresql": "(said.value->>'{name}')::{type}",
    "sqlite": "CAST(json_extract(said.value, '$.{name}') AS {type})",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for table, column in (("predictions", "probabilities"), ("studies", "findings")):
        op.add_column(table, sa.Column(column, sa.JSON(), server_default="{}", nullable=False))
    for name, kind in LOOK.items():
        op.add_column("images", sa.Column(name, kind, nullable=True))
    said = GATHERED[dialect].format(key="finding", value="probability")
    decided = GATHERED[dialect].format(key="finding", value=DECIDED[dialect])
    op.execute(
        f"UPDATE predictions SET probabilities = (SELECT {said} FROM finding_probabilities "  # noqa: S608
        "WHERE prediction_id = predictions.id) "
        "WHERE EXISTS (SELECT 1 FROM finding_probabilities WHERE prediction_id = predictions.id)"
    )
    op.execute(
        f"UPDATE studies SET findings = (SELECT {decided} FROM study_findings "  # noqa: S608
        "WHERE study_id = studies.id) "
        "WHERE EXISTS (SELECT 1 FROM study_findings WHERE study_id = studies.id)"
    )
    op.execute(
        f"UPDATE images SET ({', '.join(LOOK)}) = "  # noqa: S608
        f"(SELECT {', '.join(LOOK)} FROM film_statistics WHERE image_id = images.id) "
        "WHERE EXISTS (SELECT 1 FROM film_statistics WHERE image_id = images.id)"
    )
    for table in ("film_statistics", "study_findings", "finding_probabilities"):
        op.drop_table(table)
    if dialect == "postgresql":  # SQLite cannot drop a default. It does no harm, since every insert has the column.
        op.alter_column("predictions", "probabilities", server_default=None)


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    _create_tables()
    number = "double precision" if dialect == "postgresql" else "REAL"
    value = f"CAST({'said.value::text' if dialect == 'postgresql' else 'said.value'} AS {number})"
    op.execute(
        "INSERT INTO finding_probabilities (prediction_id, finding, probability) "  # noqa: S608
        f"SELECT predictions.id, said.key, {value} FROM predictions, json_each(probabilities) AS said"
    )
    probability = MEMBER[dialect].format(name="probability", type=number)
    image_id = MEMBER[dialect].format(name="image_id", type="integer")
    op.execute(
        "INSERT INTO study_findings (study_id, finding, probability, image_id) "  # noqa: S608
        f"SELECT studies.id, said.key, {probability}, {image_id} FROM studies, json_each(findings) AS said"
    )
    op.execute(
        f"INSERT INTO film_statistics (image_id, {', '.join(LOOK)}) "  # noqa: S608
        f"SELECT id, {', '.join(LOOK)} FROM images WHERE grey_mean IS NOT NULL"
    )
    for table, columns in (("predictions", ["probabilities"]), ("studies", ["findings"]), ("images", LOOK)):
        for column in columns:
            op.drop_column(table, column)


def _create_tables() -> None:
    op.create_table(
        "finding_probabilities",
        sa.Column("prediction_id", sa.Integer(), nullable=False),
        sa.Column("finding", sa.String(length=64), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.CheckConstraint("probability >= 0 AND probability <= 1", name="ck_finding_probabilities_probability"),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.id"], name=op.f("fk_finding_probabilities_prediction_id")
        ),
        sa.PrimaryKeyConstraint("prediction_id", "finding", name=op.f("pk_finding_probabilities")),
    )
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
    op.create_table(
        "film_statistics",
        sa.Column("image_id", sa.Integer(), nullable=False),
        *(sa.Column(name, kind, nullable=False) for name, kind in LOOK.items()),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_film_statistics_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_film_statistics")),
    )
