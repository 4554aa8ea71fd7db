"""Create the catalogue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_apply",
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("generation", name=op.f("pk_ls_apply")),
        comment="Who applied what, when: one row per apply.",
    )
    op.create_table(
        "ls_generation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_generation")),
        comment="One row: how many applies there were. An apply swaps it from the generation its plan saw.",
    )
    op.create_table(
        "ls_definition",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=12), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("team", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["generation"], ["ls_apply.generation"], name=op.f("fk_ls_definition_generation_ls_apply")
        ),
        sa.PrimaryKeyConstraint("kind", "name", "version", "generation", name=op.f("pk_ls_definition")),
        comment="Every definition ever applied. A new owner, ttl or wording is a new generation of the same version.",
    )
    op.create_table(
        "ls_current",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=12), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "name", "version", "generation"],
            ["ls_definition.kind", "ls_definition.name", "ls_definition.version", "ls_definition.generation"],
            name=op.f("fk_ls_current_kind_name_version_generation_ls_definition"),
        ),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_ls_current")),
        comment="Which version of a name new readers get.",
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("ls_current")
    op.drop_table("ls_definition")
    op.drop_table("ls_generation")
    op.drop_table("ls_apply")
