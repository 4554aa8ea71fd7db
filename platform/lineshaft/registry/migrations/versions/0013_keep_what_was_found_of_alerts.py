"""Keep what people found of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_alert_finding",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("alert", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("asset_id", sa.String(length=200), nullable=False),
        sa.Column("answer", sa.String(length=10), nullable=False),
        sa.Column("looked_us", sa.BigInteger(), nullable=False),
        sa.Column("said_us", sa.BigInteger(), nullable=False),
        sa.Column("said_by", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("answer in ('confirmed', 'false', 'unknown')", name=op.f("ck_ls_alert_finding_answer")),
        sa.ForeignKeyConstraint(["alert"], ["ls_alert.id"], name=op.f("fk_ls_alert_finding_alert_ls_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_alert_finding")),
        comment="What people found of alerts: added to, never changed; the last of an alert counts.",
    )
    op.create_index("ix_ls_alert_finding_model", "ls_alert_finding", ["project", "model"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_ls_alert_finding_model", table_name="ls_alert_finding")
    op.drop_table("ls_alert_finding")
