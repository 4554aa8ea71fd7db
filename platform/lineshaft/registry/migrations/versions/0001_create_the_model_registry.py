"""Create the model registry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_versions()
    _create_acts()


def _create_versions() -> None:
    """Create what a version is: model, version, pins; and the generation servers poll."""
    op.create_table(
        "ls_env_generation",
        sa.Column("environment", sa.String(length=80), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("environment", name=op.f("pk_ls_env_generation")),
    )
    op.create_table(
        "ls_model",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("team", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ls_model")),
    )
    op.create_table(
        "ls_model_version",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("service", sa.String(length=200), nullable=False),
        sa.Column("service_json", sa.Text(), nullable=False),
        sa.Column("features_json", sa.Text(), nullable=False),
        sa.Column("training_set", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("artifact_sha256", sa.String(length=64), nullable=False),
        sa.Column("artifact_format", sa.String(length=8), nullable=False),
        sa.Column("artifact_bytes", sa.BigInteger(), nullable=False),
        sa.Column("params_json", sa.Text(), nullable=False),
        sa.Column("metrics_json", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("library", sa.String(length=80), nullable=False),
        sa.Column("lock_sha256", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("artifact_format in ('ubj', 'json')", name=op.f("ck_ls_model_version_format")),
        sa.CheckConstraint(
            "state in ('registered', 'validated', 'rejected', 'retired')", name=op.f("ck_ls_model_version_state")
        ),
        sa.ForeignKeyConstraint(["model"], ["ls_model.name"], name=op.f("fk_ls_model_version_model_ls_model")),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("pk_ls_model_version")),
    )
    op.create_table(
        "ls_feature_pin",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("view", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("table_version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "number"],
            ["ls_model_version.model", "ls_model_version.number"],
            name=op.f("fk_ls_feature_pin_model_number_ls_model_version"),
        ),
        sa.PrimaryKeyConstraint("model", "number", "view", name=op.f("pk_ls_feature_pin")),
    )


def _create_acts() -> None:
    """Create what is done to a version: transitions, assignments, verdicts."""
    op.create_table(
        "ls_transition",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("before", sa.String(length=40), nullable=False),
        sa.Column("after", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("previous_digest", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["ls_model.name"], name=op.f("fk_ls_transition_model_ls_model")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_transition")),
        sa.UniqueConstraint("previous_digest", name=op.f("uq_ls_transition_previous_digest")),
    )
    op.create_table(
        "ls_assignment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("environment", sa.String(length=80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("valid_from_us", sa.BigInteger(), nullable=False),
        sa.Column("valid_to_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model", "number"],
            ["ls_model_version.model", "ls_model_version.number"],
            name=op.f("fk_ls_assignment_model_number_ls_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_assignment")),
    )
    is_open = sa.text("valid_to_us IS NULL")
    op.create_index(
        "uq_ls_assignment_open_champion",
        "ls_assignment",
        ["model", "environment"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )

    op.create_table(
        "ls_gate_result",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("gate", sa.String(length=200), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("policy_sha256", sa.String(length=64), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("outcome in ('pass', 'fail', 'unknown')", name=op.f("ck_ls_gate_result_outcome")),
        sa.ForeignKeyConstraint(
            ["model", "number"],
            ["ls_model_version.model", "ls_model_version.number"],
            name=op.f("fk_ls_gate_result_model_number_ls_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_gate_result")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("ls_gate_result")
    op.drop_table("ls_feature_pin")
    op.drop_index("uq_ls_assignment_open_champion", "ls_assignment")
    op.drop_table("ls_assignment")
    op.drop_table("ls_transition")
    op.drop_table("ls_model_version")
    op.drop_table("ls_model")
    op.drop_table("ls_env_generation")
