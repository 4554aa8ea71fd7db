"""Bring a database to the current tables, whatever state it is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateSchema

from lineshaft.errors import CorruptError, UnavailableError
from lineshaft.registry.engine import open_engine
from lineshaft.registry.revisions import MIGRATIONS, VERSION_TABLE


def upgrade(database_url: str, *, revision: str = "head") -> str:
    """Apply the migrations that are missing, in one transaction; return the revision it stands at.

    Raises `UnavailableError` where the database cannot be reached or written.
    """
    engine = open_engine(database_url)
    try:
        config = _config()
        _ensure_schema(engine)
        with engine.connect() as connection, _foreign_keys_at_rest(connection), connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            return context.get_current_revision() or ""
    except OperationalError as error:
        what = f"the database cannot be used: {str(error.orig).splitlines()[0]}"
        raise UnavailableError(what, where="LINESHAFT_DATABASE_URL", fix="check that it runs and is ours") from error
    finally:
        engine.dispose()


def _ensure_schema(engine: Engine) -> None:
    """Make the schema that a URL of Postgres leads to, if there is none: an environment of somebody's own."""
    if engine.dialect.name != "postgresql":
        return
    with engine.begin() as connection:
        wanted = connection.exec_driver_sql("SELECT current_setting('search_path') WHERE current_schema() IS NULL")
        path = wanted.scalar()
        if path:
            name = str(path).strip('"')
            connection.execute(CreateSchema(name, if_not_exists=True))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


@contextmanager
def _foreign_keys_at_rest(connection: Connection) -> Iterator[None]:
    """Let SQLite change a table as it can, by a copy that takes the old one's place; its references are held to after.

    Raises `CorruptError` where a reference then leads nowhere.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.commit()
    yield
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if lost:
        what = f"{len(lost)} rows of {lost[0][0]} refer to rows of {lost[0][2]} that are not there"
        raise CorruptError(what, where="LINESHAFT_DATABASE_URL", fix="restore it from a backup")
