"""Keep what verdicts rest on, who approved, and which servers follow; let versions be quarantined."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _of_version("ls_evidence", sa.Column("evidence_json", sa.Text(), nullable=False))
    _of_version(
        "ls_approval",
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("policy_sha256", sa.String(length=64), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "ls_replica_ack",
        sa.Column("replica", sa.String(length=200), nullable=False),
        sa.Column("environment", sa.String(length=80), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("models_json", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("replica", "environment", name=op.f("pk_ls_replica_ack")),
    )
    op.add_column("ls_gate_result", sa.Column("figures_json", sa.Text(), nullable=False, server_default="{}"))
    _states("'registered', 'validated', 'rejected', 'quarantined', 'retired'")


def _of_version(name: str, *columns: sa.Column[Any]) -> None:
    """Create a table whose rows are about a version."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        *columns,
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "number"],
            ["ls_model_version.model", "ls_model_version.number"],
            name=op.f(f"fk_{name}_model_number_ls_model_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )


def _states(states: str) -> None:
    """Say in which states a version may be."""
    checks = {"ck_ls_model_version_state": f"state in ({states})"}
    if op.get_bind().dialect.name == "postgresql":  # copying a table leaves SQLite's checks behind by itself
        op.drop_constraint(op.f("ck_ls_model_version_state"), "ls_model_version")
    else:
        checks["ck_ls_model_version_format"] = "artifact_format in ('ubj', 'json')"
    with op.batch_alter_table("ls_model_version") as batch:
        for name, check in checks.items():
            batch.create_check_constraint(op.f(name), check)


def downgrade() -> None:
    """Undo; nothing may be in quarantine."""
    _states("'registered', 'validated', 'rejected', 'retired'")
    with op.batch_alter_table("ls_gate_result") as batch:
        batch.drop_column("figures_json")
    for table in ("ls_replica_ack", "ls_approval", "ls_evidence"):
        op.drop_table(table)
