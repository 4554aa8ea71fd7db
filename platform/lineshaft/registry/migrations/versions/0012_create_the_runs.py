"""Create the tables of runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("began_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("alone", sa.String(length=300), nullable=True),
        sa.Column("params_json", sa.Text(), nullable=False),
        sa.Column("metrics_json", sa.Text(), nullable=False),
        sa.Column("files_json", sa.Text(), nullable=False),
        sa.CheckConstraint("state in ('running', 'done', 'skipped', 'failed', 'lost')", name=op.f("ck_ls_run_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_run")),
        sa.UniqueConstraint("alone", name=op.f("uq_ls_run_alone")),
    )
    op.create_index("ix_ls_run_model", "ls_run", ["project", "model", "id"])
    op.create_table(
        "ls_run_point",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["ls_run.id"], name=op.f("fk_ls_run_point_run_ls_run")),
        sa.PrimaryKeyConstraint("run", "name", "step", name=op.f("pk_ls_run_point")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("ls_run_point")
    op.drop_table("ls_run")
