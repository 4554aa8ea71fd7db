"""The migrations make exactly the tables the code speaks of."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from lineshaft.errors import InputError, UnavailableError
from lineshaft.registry import (
    alert_tables,
    annotation_tables,
    catalog_tables,
    drift_tables,
    experiment_tables,
    run_tables,
    score_tables,
    site_tables,
    tables,
    token_tables,
)
from lineshaft.registry.engine import open_engine
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.revisions import VERSION_TABLE, standing
from lineshaft.registry.schema import METADATA

# importing them hangs their tables on METADATA
__all__ = [
    "alert_tables",
    "annotation_tables",
    "catalog_tables",
    "drift_tables",
    "experiment_tables",
    "run_tables",
    "score_tables",
    "site_tables",
    "tables",
    "token_tables",
]


def test_migrated_tables_equal_declared_tables(database_url: str) -> None:
    """After an upgrade, alembic finds nothing to change."""
    upgrade(database_url)

    engine = open_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        found = compare_metadata(context, METADATA)
    engine.dispose()

    assert found == []


def test_upgrade_is_idempotent(database_url: str) -> None:
    """Upgrading twice is upgrading once."""
    assert upgrade(database_url) == upgrade(database_url)


def test_where_a_database_stands_is_known_without_alembic(tmp_path: Path) -> None:
    """No file and no table stand nowhere and are left alone; an upgrade is seen, in part and whole."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    newest = standing(url)[1]

    assert standing(url) == ("", newest)
    assert not (tmp_path / "x.db").exists()
    open_engine(url).connect().close()
    assert standing(url) == ("", newest)
    assert upgrade(url, revision="0001") == standing(url)[0] == "0001"
    assert upgrade(url) == newest == standing(url)[0]


def test_upgrade_leaves_other_tables_alone(database_url: str) -> None:
    """Feast's tables in the same database survive, and Lineshaft's all start with `ls_`."""
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE feature_views (name TEXT)")

    upgrade(database_url)

    names = set(inspect(engine).get_table_names())
    engine.dispose()
    assert "feature_views" in names
    assert all(name.startswith("ls_") for name in names - {"feature_views"})


@pytest.mark.parametrize("url", ["postgresql://u@h/db", "postgresql+psycopg://u@h/db"])
def test_postgres_urls_get_the_installed_driver(url: str) -> None:
    """A plain postgresql:// URL works with psycopg 3."""
    assert open_engine(url).url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["nonsense", "", "mysql://u:secret@h/d", "postgresql+asyncpg://u:secret@h/d"])
def test_a_url_of_no_database_of_ours_is_refused(url: str) -> None:
    """The error names the setting and what may stand there, and repeats no password."""
    with pytest.raises(InputError, match="names no database of ours") as refused:
        open_engine(url)

    assert refused.value.where == "LINESHAFT_DATABASE_URL"
    assert "secret" not in str(refused.value)


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """A folder in the place of the file is told in one error of ours."""
    (tmp_path / "x.db").mkdir()

    with pytest.raises(UnavailableError, match="the database cannot be used: unable to open") as refused:
        upgrade(f"sqlite:///{tmp_path / 'x.db'}")
    assert refused.value.fix


def test_a_home_is_made_for_its_database(tmp_path: Path) -> None:
    """SQLite's file may lie in a folder that is not there yet; readers and a writer do not wait for one another."""
    url = f"sqlite:///{tmp_path / 'new' / 'deep' / 'x.db'}"
    upgrade(url)

    engine = open_engine(url)
    with engine.connect() as connection:
        modes = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()

    assert modes == ["wal", 1, 10_000]
