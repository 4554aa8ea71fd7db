"""Say which human a token belongs to; those of before belong to services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("ls_token", sa.Column("person", sa.String(length=200), server_default="", nullable=False))


def downgrade() -> None:
    """Undo."""
    op.drop_column("ls_token", "person")
