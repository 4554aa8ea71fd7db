"""Give slots a site, and assets one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_IS_OPEN = sa.text("valid_to_us IS NULL")
_SLOT = "uq_ls_assignment_open_slot"


def upgrade() -> None:
    """Apply."""
    op.drop_index(_SLOT, "ls_assignment")
    with op.batch_alter_table("ls_assignment") as batch:
        batch.add_column(sa.Column("site", sa.String(length=80), nullable=False, server_default=""))
    _one_open(_SLOT, "ls_assignment", ["model", "environment", "site", "slot"])
    op.create_table(
        "ls_asset_site",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("environment", sa.String(length=80), nullable=False),
        sa.Column("asset_id", sa.String(length=200), nullable=False),
        sa.Column("site", sa.String(length=80), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("valid_from_us", sa.BigInteger(), nullable=False),
        sa.Column("valid_to_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ls_asset_site")),
        comment="Sites of assets: whose champion answers for them.",
    )
    _one_open("uq_ls_asset_site_open", "ls_asset_site", ["environment", "asset_id"])


def _one_open(name: str, table: str, columns: list[str]) -> None:
    """Let one row of each kind be open."""
    op.create_index(name, table, columns, unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)


def downgrade() -> None:
    """Undo; slots of sites must be gone."""
    op.drop_table("ls_asset_site")
    op.drop_index(_SLOT, "ls_assignment")
    with op.batch_alter_table("ls_assignment") as batch:
        batch.drop_column("site")
    _one_open(_SLOT, "ls_assignment", ["model", "environment", "slot"])
