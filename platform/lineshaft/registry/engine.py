"""Open the database: SQLite on one machine, Postgres beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError, ProgrammingError

from lineshaft.errors import InputError, UnavailableError

_CONNECT_S = 5
_FIX = "check that it runs and is ours; `lineshaft db upgrade` makes tables that are missing"


def open_engine(database_url: str) -> Engine:
    """Return an engine; SQLite gets a write-ahead log, foreign keys and patience with other writers.

    Raises `InputError` for a URL of neither SQLite nor Postgres; what it says is not repeated, it may hold a password.
    """
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise _no_database("it is no URL") from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "postgresql+psycopg":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_S})
    if url.get_backend_name() != "sqlite":
        raise _no_database(f"{url.drivername} is not supported")
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


@contextmanager
def connected(engine: Engine, *, writing: bool = False) -> Iterator[Connection]:
    """Yield a connection, `writing` in a transaction; raises `UnavailableError` where the database does not answer."""
    try:
        with engine.begin() if writing else engine.connect() as connection:
            yield connection
    except (InterfaceError, OperationalError, ProgrammingError) as error:  # the last: a table that is not there
        what = f"the database does not answer: {str(error.orig).splitlines()[0]}"
        raise UnavailableError(what, where="LINESHAFT_DATABASE_URL", fix=_FIX) from error


def _no_database(why: str) -> InputError:
    return InputError(
        f"the setting names no database of ours: {why}",
        where="LINESHAFT_DATABASE_URL",
        fix="write sqlite:///path/to.db or postgresql://user:password@host/name",
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Set what SQLite leaves off: readers beside a writer, foreign keys, 10 s of waiting for a lock."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=10000", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
