"""Create the tables of API tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "ls_token",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_ls_token_digest")),
        comment="API tokens, by what is kept of their secrets.",
    )
    op.create_table(
        "ls_token_grant",
        sa.Column("token", sa.String(length=16), nullable=False),
        sa.Column("team", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.CheckConstraint("role in ('reader', 'writer', 'admin')", name=op.f("ck_ls_token_grant_role")),
        sa.ForeignKeyConstraint(["token"], ["ls_token.id"], name=op.f("fk_ls_token_grant_token_ls_token")),
        sa.PrimaryKeyConstraint("token", "team", name=op.f("pk_ls_token_grant")),
        comment="The role of a token in a team; the team * is every team.",
    )


def downgrade() -> None:
    """Undo."""
    for table in ("ls_token_grant", "ls_token"):
        op.drop_table(table)
