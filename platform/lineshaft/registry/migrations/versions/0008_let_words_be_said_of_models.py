"""Let words be said of models and versions: descriptions, sources, tags, aliases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_VERSION = ["ls_model_version.model", "ls_model_version.number"]


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_model_note",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["ls_model.name"], name=op.f("fk_ls_model_note_model_ls_model")),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_ls_model_note")),
    )
    op.create_table(
        "ls_version_note",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=200)),
        sa.Column("run_link", sa.Text()),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        _of_a_version("ls_version_note"),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("pk_ls_version_note")),
    )
    op.create_table(
        "ls_model_tag",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["ls_model.name"], name=op.f("fk_ls_model_tag_model_ls_model")),
        sa.PrimaryKeyConstraint("model", "number", "key", name=op.f("pk_ls_model_tag")),
    )
    op.create_table(
        "ls_model_alias",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        _of_a_version("ls_model_alias"),
        sa.PrimaryKeyConstraint("model", "alias", name=op.f("pk_ls_model_alias")),
    )


def _of_a_version(table: str) -> sa.ForeignKeyConstraint:
    """Say that a row is about a version that there is."""
    name = op.f(f"fk_{table}_model_number_ls_model_version")
    return sa.ForeignKeyConstraint(["model", "number"], _VERSION, name=name)


def downgrade() -> None:
    """Undo."""
    for table in ("ls_model_alias", "ls_model_tag", "ls_version_note", "ls_model_note"):
        op.drop_table(table)
