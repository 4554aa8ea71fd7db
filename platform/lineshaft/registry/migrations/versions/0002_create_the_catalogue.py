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
        "ls_catalog_generation",
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_ls_catalog_generation")),
        comment="How many applies there were. An apply swaps it from the generation its plan saw.",
    )
    op.create_table(
        "ls_catalog_apply",
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "generation", name=op.f("pk_ls_catalog_apply")),
        comment="Who applied what, when: one row per apply.",
    )
    op.create_table(
        "ls_definition",
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=12), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("team", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "generation"],
            ["ls_catalog_apply.project", "ls_catalog_apply.generation"],
            name=op.f("fk_ls_definition_project_ls_catalog_apply"),
        ),
        sa.PrimaryKeyConstraint("project", "kind", "name", "version", "generation", name=op.f("pk_ls_definition")),
        comment="Every definition ever applied. A new owner, ttl or wording is a new generation of the same version.",
    )
    op.create_table(
        "ls_current",
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=12), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "kind", "name", "version", "generation"],
            [f"ls_definition.{column}" for column in ("project", "kind", "name", "version", "generation")],
            name="fk_ls_current_definition",
        ),
        sa.PrimaryKeyConstraint("project", "kind", "name", name=op.f("pk_ls_current")),
        comment="Which version of a name new readers get.",
    )


def downgrade() -> None:
    """Undo."""
    for table in ("ls_current", "ls_definition", "ls_catalog_apply", "ls_catalog_generation"):
        op.drop_table(table)
