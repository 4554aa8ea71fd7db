"""Create the table of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_alert",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.String(length=200), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("raised_us", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("routed", sa.Text(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("passing", sa.Integer(), nullable=False),
        sa.Column("worst", sa.Float(), nullable=False),
        sa.Column("acked_us", sa.BigInteger(), nullable=True),
        sa.Column("acked_by", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_alert")),
        comment="Alerts: an episode of scores that passed a model's threshold.",
    )
    op.create_index("ix_ls_alert_asset", "ls_alert", ["project", "asset_id", "at_us"])
    op.create_index("ix_ls_alert_model", "ls_alert", ["project", "model", "raised_us"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("ls_alert")
