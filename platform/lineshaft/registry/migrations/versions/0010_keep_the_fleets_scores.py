"""Create the tables of the fleet's scores and of the rounds in which they are made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_score",
        sa.Column("prediction_id", sa.String(length=32), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("asset_id", sa.String(length=200), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("degraded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_ls_score")),
        comment="Scores of the fleet; the log of predictions has their inputs.",
    )
    op.create_index("ix_ls_score_last", "ls_score", ["project", "model", "role", "entity", "at_us"])
    op.create_index("ix_ls_score_asset", "ls_score", ["project", "asset_id", "at_us"])
    op.create_table(
        "ls_fleet_run",
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("due_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=400), nullable=False),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.String(length=220), nullable=False),
        sa.Column("entities", sa.Integer(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.CheckConstraint("state in ('running', 'done', 'failed')", name=op.f("ck_ls_fleet_run_state")),
        sa.PrimaryKeyConstraint("project", "due_us", "model", name=op.f("pk_ls_fleet_run")),
        comment="What became of each model in each round of the fleet.",
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("ls_fleet_run")
    op.drop_table("ls_score")
