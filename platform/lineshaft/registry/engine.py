"""Open the database of catalogue and registry: SQLite in WAL mode, or Postgres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url


def open_engine(database_url: str) -> Engine:
    """Return an engine whose transactions are serialised writers.

    SQLite: WAL, foreign keys on, 10 s busy timeout, and `BEGIN IMMEDIATE` so that a writer never fails half way
    through on a lock. `postgresql://` means the psycopg 3 driver. The folder of a SQLite file is made.
    """
    url = make_url(database_url)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Set a new SQLite connection up; transactions are begun by us, not by the driver."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=10000", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    """Take the write lock at once: a reader that becomes a writer would fail instead of waiting."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
