"""The ledger, the registry, the retraining runs and the accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("version", name=op.f("uq_model_versions_version")),
    )
    op.create_table(
        "processes",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.String(length=64), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_table(
        "refusals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=512), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
    )
    op.create_index("ix_refusals_key", "refusals", ["source", "request_id"], unique=False)
    op.create_table(
        "submissions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sa.UniqueConstraint("source", "request_id", name=op.f("uq_submissions_source_request_id")),
    )
    op.create_index(op.f("ix_submissions_received_at"), "submissions", ["received_at"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("session_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'clinician', 'scientist', 'admin', 'upstream')", name="ck_users_role"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "activations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_version_id", sa.Integer(), nullable=False),
        sa.Column("returns_to_id", sa.Integer(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_activations_model_version_id")
        ),
        sa.ForeignKeyConstraint(["returns_to_id"], ["activations.id"], name=op.f("fk_activations_returns_to_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activations")),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("model_version_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("probability >= 0 AND probability <= 1", name="ck_predictions_probability"),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_predictions_model_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictions")),
        sa.UniqueConstraint(
            "image_sha256", "model_version_id", name=op.f("uq_predictions_image_sha256_model_version_id")
        ),
    )
    op.create_index("ix_predictions_label", "predictions", ["label", "probability"], unique=False)
    op.create_index(op.f("ix_predictions_model_version_id"), "predictions", ["model_version_id"], unique=False)
    op.create_table(
        "retraining_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("unfinished", sa.Boolean(), nullable=True),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("night", sa.Date(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("epochs_done", sa.Integer(), nullable=False),
        sa.Column("epochs_planned", sa.Integer(), nullable=True),
        sa.Column("message", sa.String(length=1024), nullable=True),
        sa.Column("candidate_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["candidate_id"], ["model_versions.id"], name=op.f("fk_retraining_runs_candidate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retraining_runs")),
        sa.UniqueConstraint("night", name=op.f("uq_retraining_runs_night")),
        sa.UniqueConstraint("unfinished", name=op.f("uq_retraining_runs_unfinished")),
    )
    op.create_index(op.f("ix_retraining_runs_state"), "retraining_runs", ["state"], unique=False)
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("submission_id", sa.String(length=32), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("accession_number", sa.String(length=64), nullable=True),
        sa.Column("accession_issuer", sa.String(length=64), nullable=True),
        sa.Column("patient_key", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(["submission_id"], ["submissions.id"], name=op.f("fk_studies_submission_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
    )
    op.create_index(op.f("ix_studies_accession_number"), "studies", ["accession_number"], unique=False)
    op.create_index(op.f("ix_studies_patient_key"), "studies", ["patient_key"], unique=False)
    op.create_index(op.f("ix_studies_study_instance_uid"), "studies", ["study_instance_uid"], unique=False)
    op.create_index(op.f("ix_studies_submission_id"), "studies", ["submission_id"], unique=False)
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
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("reference", sa.String(length=512), nullable=True),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("prediction_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("(state = 'scored') = (prediction_id IS NOT NULL)", name="ck_images_scored_has_prediction"),
        sa.CheckConstraint("(state = 'scoring') = (owner IS NOT NULL)", name="ck_images_scoring_has_owner"),
        sa.CheckConstraint("state IN ('waiting', 'scoring', 'scored', 'rejected')", name="ck_images_state"),
        sa.ForeignKeyConstraint(["prediction_id"], ["predictions.id"], name=op.f("fk_images_prediction_id")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_images_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
    )
    op.create_index("ix_images_claim", "images", ["state", "priority", "id"], unique=False)
    op.create_index(op.f("ix_images_finished_at"), "images", ["finished_at"], unique=False)
    op.create_index("ix_images_lease", "images", ["state", "lease_until"], unique=False)
    op.create_index(op.f("ix_images_owner"), "images", ["owner"], unique=False)
    op.create_index(op.f("ix_images_prediction_id"), "images", ["prediction_id"], unique=False)
    op.create_index(op.f("ix_images_sha256"), "images", ["sha256"], unique=False)
    op.create_index(op.f("ix_images_study_id"), "images", ["study_id"], unique=False)
    op.create_table(
        "rejections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=512), nullable=False),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_rejections_image_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejections")),
        sa.UniqueConstraint("image_id", name=op.f("uq_rejections_image_id")),
    )
    op.create_index(op.f("ix_rejections_reason"), "rejections", ["reason"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_rejections_reason"), table_name="rejections")
    op.drop_table("rejections")
    op.drop_index(op.f("ix_images_study_id"), table_name="images")
    op.drop_index(op.f("ix_images_sha256"), table_name="images")
    op.drop_index(op.f("ix_images_prediction_id"), table_name="images")
    op.drop_index(op.f("ix_images_owner"), table_name="images")
    op.drop_index("ix_images_lease", table_name="images")
    op.drop_index(op.f("ix_images_finished_at"), table_name="images")
    op.drop_index("ix_images_claim", table_name="images")
    op.drop_table("images")
    op.drop_table("finding_probabilities")
    op.drop_index(op.f("ix_studies_submission_id"), table_name="studies")
    op.drop_index(op.f("ix_studies_study_instance_uid"), table_name="studies")
    op.drop_index(op.f("ix_studies_patient_key"), table_name="studies")
    op.drop_index(op.f("ix_studies_accession_number"), table_name="studies")
    op.drop_table("studies")
    op.drop_index(op.f("ix_retraining_runs_state"), table_name="retraining_runs")
    op.drop_table("retraining_runs")
    op.drop_index(op.f("ix_predictions_model_version_id"), table_name="predictions")
    op.drop_index("ix_predictions_label", table_name="predictions")
    op.drop_table("predictions")
    op.drop_table("activations")
    op.drop_table("users")
    op.drop_index(op.f("ix_submissions_received_at"), table_name="submissions")
    op.drop_table("submissions")
    op.drop_index("ix_refusals_key", table_name="refusals")
    op.drop_table("refusals")
    op.drop_table("processes")
    op.drop_table("model_versions")
