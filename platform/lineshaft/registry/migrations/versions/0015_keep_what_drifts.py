"""Keep what drift checks find, and what becomes of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_checks()
    _create_triggers()


def _create_checks() -> None:
    op.create_table(
        "ls_drift_sketch",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("artifact_sha256", sa.String(length=64), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("pk_ls_drift_sketch")),
        comment="Of each version: the artifact that says what its training set looked like.",
    )
    op.create_table(
        "ls_drift_window",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.Column("checked_us", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("assets", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_drift_window")),
        comment="One drift check of a model version.",
    )
    op.create_index("ix_ls_drift_window_model", "ls_drift_window", ["project", "model", "number", "end_us"])
    op.create_table(
        "ls_drift_point",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("window_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("column", sa.String(length=300), nullable=False),
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("regime", sa.String(length=300), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("effect", sa.Float(), nullable=True),
        sa.Column("p", sa.Float(), nullable=True),
        sa.Column("q", sa.Float(), nullable=True),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("reference_effective", sa.Float(), nullable=True),
        sa.Column("current_effective", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["window_id"], ["ls_drift_window.id"], name=op.f("fk_ls_drift_point_window_id_ls_drift_window")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_drift_point")),
        comment="What a check found of one column, of whom, by one method; null where it is not known.",
    )
    op.create_index("ix_ls_drift_point_window", "ls_drift_point", ["window_id"])


def _create_triggers() -> None:
    op.create_table(
        "ls_drift_trigger",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=20), nullable=False),
        sa.Column("assets", sa.Text(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("raised_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_drift_trigger")),
        comment="What stands behind alarms of drift, and what is done about it.",
    )
    op.create_index("ix_ls_drift_trigger_model", "ls_drift_trigger", ["project", "model", "raised_us"])
    op.create_table(
        "ls_drift_act",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trigger_id", sa.String(length=32), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["trigger_id"], ["ls_drift_trigger.id"], name=op.f("fk_ls_drift_act_trigger_id_ls_drift_trigger")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_drift_act")),
        comment="The trail of a trigger; a line is never changed.",
    )
    op.create_index("ix_ls_drift_act_trigger", "ls_drift_act", ["trigger_id"])


def downgrade() -> None:
    """Undo."""
    for name in ("ls_drift_act", "ls_drift_trigger", "ls_drift_point", "ls_drift_window", "ls_drift_sketch"):
        op.drop_table(name)
