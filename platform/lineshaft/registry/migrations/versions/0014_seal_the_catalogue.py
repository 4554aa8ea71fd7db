"""Seal the catalogue's history: each apply covers what it wrote and the apply before it."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from lineshaft.registry.catalog_audit import AppliedLine, Kept, digest_of, genesis, seal

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_COLUMNS = ("wrote_json", "retired_json", "previous_digest", "digest")


def upgrade() -> None:
    """Apply; what is there already is sealed as it stands: what was altered before cannot be found any more."""
    with op.batch_alter_table("ls_catalog_apply") as batch:
        batch.add_column(sa.Column("wrote_json", sa.Text(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("retired_json", sa.Text(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("previous_digest", sa.String(length=64), nullable=False, server_default=""))
        batch.add_column(sa.Column("digest", sa.String(length=64), nullable=False, server_default=""))
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT project, generation, at_us, actor, summary FROM ls_catalog_apply ORDER BY project, generation")
    ).all()
    previous, ends = "", {row.project: row.generation for row in rows}
    for row in rows:
        if row.generation == 1:
            previous = genesis(row.project)
        last = row.generation == ends[row.project]
        line = AppliedLine(
            **row._asdict(),
            wrote=_wrote(connection, row.project, row.generation),
            retired=_retired(connection, row.project) if last else (),
            previous_digest=previous,
            digest="",
        )
        previous = seal(line)
        connection.execute(
            sa.text(
                "UPDATE ls_catalog_apply SET wrote_json = :wrote, retired_json = :retired, previous_digest = :before, "
                "digest = :digest WHERE project = :project AND generation = :generation"
            ),
            {
                "wrote": json.dumps(line.wrote),
                "retired": json.dumps(line.retired),
                "before": line.previous_digest,
                "digest": previous,
                "project": row.project,
                "generation": row.generation,
            },
        )


def _wrote(connection: sa.Connection, project: str, generation: int) -> tuple[tuple[str, str, str, str], ...]:
    names = "kind, name, version, generation, team, owner, spec"
    query = f"SELECT {names} FROM ls_definition WHERE project = :project AND generation = :generation"  # noqa: S608
    rows = connection.execute(sa.text(query), {"project": project, "generation": generation}).all()
    kept = [Kept(**row._asdict()) for row in rows]
    return tuple(sorted((one.kind, one.name, one.version, digest_of(one)) for one in kept))


def _retired(connection: sa.Connection, project: str) -> tuple[tuple[str, str], ...]:
    query = sa.text("SELECT kind, name, retired FROM ls_current WHERE project = :project ORDER BY kind, name")
    rows = connection.execute(query, {"project": project}).all()
    return tuple((row.kind, row.name) for row in rows if row.retired)


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("ls_catalog_apply") as batch:
        for column in _COLUMNS:
            batch.drop_column(column)
