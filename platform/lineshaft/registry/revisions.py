"""Which revision a database stands at, and which is the newest: known without the machinery that brings it there."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import column, inspect, make_url, select, table

from lineshaft.registry.engine import connected, open_engine

VERSION_TABLE = "ls_alembic_version"
"""Lineshaft's own; Feast's registry may live in the same database."""
MIGRATIONS = Path(__file__).parent / "migrations"


def standing(database_url: str) -> tuple[str, str]:
    """Return the revision a database stands at, empty where there is none, and the newest; nothing is changed.

    Raises `UnavailableError` where the database cannot be reached.
    """
    newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    engine = open_engine(database_url)
    if engine.dialect.name == "sqlite" and not Path(make_url(database_url).database or "").is_file():
        return "", newest
    try:
        with connected(engine) as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return "", newest
            at = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
            return at or "", newest
    finally:
        engine.dispose()
