"""Bring a database to the current tables, whatever state it is in."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from lineshaft.errors import UnavailableError
from lineshaft.registry.engine import connected, open_engine

VERSION_TABLE = "ls_alembic_version"
"""Lineshaft's own; Feast's registry may live in the same database."""


def upgrade(database_url: str, *, revision: str = "head") -> str:
    """Apply the migrations that are missing, in one transaction; return the revision it stands at.

    Raises `UnavailableError` where the database cannot be reached or written.
    """
    engine = open_engine(database_url)
    try:
        config = _config()
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            return context.get_current_revision() or ""
    except OperationalError as error:
        what = f"the database cannot be used: {str(error.orig).splitlines()[0]}"
        raise UnavailableError(what, where="LINESHAFT_DATABASE_URL", fix="check that it runs and is ours") from error
    finally:
        engine.dispose()


def standing(database_url: str) -> tuple[str, str]:
    """Return the revision a database stands at, empty where there is none, and the newest; nothing is changed.

    Raises `UnavailableError` where the database cannot be reached.
    """
    newest = ScriptDirectory.from_config(_config()).get_current_head() or ""
    engine = open_engine(database_url)
    if engine.dialect.name == "sqlite" and not Path(make_url(database_url).database or "").is_file():
        return "", newest
    try:
        with connected(engine) as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            return context.get_current_revision() or "", newest
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
