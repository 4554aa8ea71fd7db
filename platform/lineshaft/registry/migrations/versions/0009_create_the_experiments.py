"""Create the tables of experiments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_experiment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("environment", sa.String(length=80), nullable=False),
        sa.Column("champion", sa.Integer(), nullable=False),
        sa.Column("challenger", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("weight_bp", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(length=80), nullable=False),
        sa.Column("effect", sa.Float(), nullable=False),
        sa.Column("alpha", sa.Float(), nullable=False),
        sa.Column("min_assets", sa.Integer(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["ls_model.name"], name=op.f("fk_ls_experiment_model_ls_model")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_experiment")),
        sa.UniqueConstraint("salt", name=op.f("uq_ls_experiment_salt")),
    )
    op.create_table(
        "ls_experiment_end",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["salt"], ["ls_experiment.salt"], name=op.f("fk_ls_experiment_end_salt_ls_experiment")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_experiment_end")),
        sa.UniqueConstraint("salt", name=op.f("uq_ls_experiment_end_salt")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("ls_experiment_end")
    op.drop_table("ls_experiment")
