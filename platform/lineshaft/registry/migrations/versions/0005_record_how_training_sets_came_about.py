"""Record how training sets came about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; of versions that are there already it was not recorded."""
    with op.batch_alter_table("ls_model_version") as batch:
        batch.add_column(sa.Column("provenance_json", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("ls_model_version") as batch:
        batch.drop_column("provenance_json")
