"""Alembic's entry: run migrations on the connection that `lineshaft.registry.migrate` opened."""

from __future__ import annotations

from alembic import context

from lineshaft.registry import (
    alert_tables,
    annotation_tables,
    catalog_tables,
    drift_tables,
    experiment_tables,
    score_tables,
    site_tables,
    tables,
    token_tables,
)
from lineshaft.registry.schema import METADATA

# importing them hangs their tables on METADATA
__all__ = [
    "alert_tables",
    "annotation_tables",
    "catalog_tables",
    "drift_tables",
    "experiment_tables",
    "score_tables",
    "site_tables",
    "tables",
    "token_tables",
]

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="ls_alembic_version",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
