"""Reviews, verdicts of the gate, the log of retraining runs, and drift of films and results."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_alarms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("model_version_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=512), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_drift_alarms_model_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_alarms")),
        sa.UniqueConstraint(
            "day", "source", "model_version_id", "kind", name=op.f("uq_drift_alarms_day_source_model_version_id_kind")
        ),
    )
    with op.batch_alter_table("drift_alarms") as batch_op:
        batch_op.create_index(batch_op.f("ix_drift_alarms_day"), ["day"], unique=False)

    op.create_table(
        "gate_verdicts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("active_id", sa.Integer(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["active_id"], ["model_versions.id"], name=op.f("fk_gate_verdicts_active_id")),
        sa.ForeignKeyConstraint(["candidate_id"], ["model_versions.id"], name=op.f("fk_gate_verdicts_candidate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_verdicts")),
    )
    with op.batch_alter_table("gate_verdicts") as batch_op:
        batch_op.create_index(batch_op.f("ix_gate_verdicts_candidate_id"), ["candidate_id"], unique=False)

    op.create_table(
        "watched_days",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("model_version_id", sa.Integer(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_watched_days_model_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watched_days")),
        sa.UniqueConstraint(
            "day", "source", "model_version_id", name=op.f("uq_watched_days_day_source_model_version_id")
        ),
    )
    with op.batch_alter_table("watched_days") as batch_op:
        batch_op.create_index(batch_op.f("ix_watched_days_day"), ["day"], unique=False)

    op.create_table(
        "retraining_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.String(length=1024), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["retraining_runs.id"], name=op.f("fk_retraining_events_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retraining_events")),
    )
    with op.batch_alter_table("retraining_events") as batch_op:
        batch_op.create_index(batch_op.f("ix_retraining_events_run_id"), ["run_id"], unique=False)

    op.create_table(
        "film_statistics",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("grey_mean", sa.Double(), nullable=False),
        sa.Column("grey_spread", sa.Double(), nullable=False),
        sa.Column("height_pixels", sa.Integer(), nullable=False),
        sa.Column("width_pixels", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_film_statistics_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_film_statistics")),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=True),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(length=1024), nullable=True),
        sa.Column("reviewed_by", sa.String(length=64), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("verdict IN ('agree', 'correct')", name="ck_reviews_verdict"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_reviews_image_id")),
        sa.ForeignKeyConstraint(["model_version_id"], ["model_versions.id"], name=op.f("fk_reviews_model_version_id")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_reviews_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
    )
    with op.batch_alter_table("reviews") as batch_op:
        batch_op.create_index(batch_op.f("ix_reviews_image_id"), ["image_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reviews_reviewed_at"), ["reviewed_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_reviews_study_id"), ["study_id"], unique=False)

    with op.batch_alter_table("activations") as batch_op:
        batch_op.add_column(sa.Column("forced", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("verdict_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_activations_verdict_id"), "gate_verdicts", ["verdict_id"], ["id"])

    with op.batch_alter_table("retraining_runs") as batch_op:
        batch_op.add_column(sa.Column("request", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("owner", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("loss", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("validation_loss", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("expected_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("cancel_asked_by", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("learned_from", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("retraining_runs") as batch_op:
        batch_op.drop_column("learned_from")
        batch_op.drop_column("cancel_asked_by")
        batch_op.drop_column("expected_at")
        batch_op.drop_column("validation_loss")
        batch_op.drop_column("loss")
        batch_op.drop_column("attempts")
        batch_op.drop_column("owner")
        batch_op.drop_column("request")

    with op.batch_alter_table("activations") as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_activations_verdict_id"), type_="foreignkey")
        batch_op.drop_column("verdict_id")
        batch_op.drop_column("forced")

    with op.batch_alter_table("reviews") as batch_op:
        batch_op.drop_index(batch_op.f("ix_reviews_study_id"))
        batch_op.drop_index(batch_op.f("ix_reviews_reviewed_at"))
        batch_op.drop_index(batch_op.f("ix_reviews_image_id"))

    op.drop_table("reviews")
    op.drop_table("film_statistics")
    with op.batch_alter_table("retraining_events") as batch_op:
        batch_op.drop_index(batch_op.f("ix_retraining_events_run_id"))

    op.drop_table("retraining_events")
    with op.batch_alter_table("watched_days") as batch_op:
        batch_op.drop_index(batch_op.f("ix_watched_days_day"))

    op.drop_table("watched_days")
    with op.batch_alter_table("gate_verdicts") as batch_op:
        batch_op.drop_index(batch_op.f("ix_gate_verdicts_candidate_id"))

    op.drop_table("gate_verdicts")
    with op.batch_alter_table("drift_alarms") as batch_op:
        batch_op.drop_index(batch_op.f("ix_drift_alarms_day"))

    op.drop_table("drift_alarms")
