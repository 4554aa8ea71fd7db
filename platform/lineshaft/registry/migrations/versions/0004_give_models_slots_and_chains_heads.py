"""Give models slots beside the champion, and their chains evidence and a head."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_IS_OPEN = sa.text("valid_to_us IS NULL")
_COUNT = """
INSERT INTO ls_chain_head (model, length, digest)
SELECT model.name,
       (SELECT count(*) FROM ls_transition line WHERE line.model = model.name),
       (SELECT digest FROM ls_transition line WHERE line.model = model.name ORDER BY id DESC LIMIT 1)
FROM ls_model model
"""  # each model has a line: its first version and the line about it were written together


def upgrade() -> None:
    """Apply."""
    op.drop_index("uq_ls_assignment_open_champion", "ls_assignment")
    with op.batch_alter_table("ls_assignment") as batch:
        batch.add_column(sa.Column("slot", sa.String(length=20), nullable=False, server_default="champion"))
        batch.create_check_constraint(op.f("ck_ls_assignment_slot"), "slot in ('champion', 'challenger', 'shadow')")
    _one_open("uq_ls_assignment_open_slot", ["model", "environment", "slot"])
    with op.batch_alter_table("ls_transition") as batch:
        batch.add_column(sa.Column("evidence", sa.String(length=64), nullable=False, server_default=""))
        for side in ("before", "after"):
            batch.alter_column(side, existing_type=sa.String(length=40), type_=sa.String(length=200))
    _judges("'pass', 'fail', 'unknown', 'error'")
    op.create_table(
        "ls_chain_head",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["ls_model.name"], name=op.f("fk_ls_chain_head_model_ls_model")),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_ls_chain_head")),
    )
    op.execute(_COUNT)


def _one_open(name: str, columns: list[str]) -> None:
    """Let one assignment of each kind be open."""
    op.create_index(name, "ls_assignment", columns, unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)


def _judges(outcomes: str) -> None:
    """Say what a gate may answer."""
    name = op.f("ck_ls_gate_result_outcome")
    if op.get_bind().dialect.name == "postgresql":  # copying a table leaves SQLite's checks behind by itself
        op.drop_constraint(name, "ls_gate_result")
    with op.batch_alter_table("ls_gate_result") as batch:
        batch.create_check_constraint(name, f"outcome in ({outcomes})")


def downgrade() -> None:
    """Undo; acts of the newer kinds must be gone."""
    op.drop_table("ls_chain_head")
    _judges("'pass', 'fail', 'unknown'")
    with op.batch_alter_table("ls_transition") as batch:
        batch.drop_column("evidence")
    op.drop_index("uq_ls_assignment_open_slot", "ls_assignment")
    with op.batch_alter_table("ls_assignment") as batch:
        batch.drop_constraint(op.f("ck_ls_assignment_slot"))
        batch.drop_column("slot")
    _one_open("uq_ls_assignment_open_champion", ["model", "environment"])
