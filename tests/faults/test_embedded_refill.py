"""An embedded server that lost its rows, or was cut off while it was filled, is filled by whoever comes next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import redis

from lineshaft.cli.repo import make_plan
from lineshaft.definitions.reader import read_repo
from lineshaft.errors import UnavailableError
from lineshaft.settings import Settings
from lineshaft.specs import Status, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.ports import Wanted
from lineshaft.wiring import Parts, connect

# The server is meant to outlive whoever started it, which the interpreter warns of.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

REPO = Path(__file__).parents[2] / "feature_repo"
VIEW = next(view for view in read_repo(REPO).views if view.name == "process_condition")


def row(parts: Parts) -> int:
    """Return the status of the one row that was stored."""
    wanted = Wanted(view=VIEW, features=VIEW.feature_names[:1], keys=keys())
    return int(parts.online.read([wanted], timeout_s=10.0)[0].status[0])


def keys() -> pa.Table:
    """Return the one entity."""
    return pa.table({name: ["line-1"] for name, _ in VIEW.entity_keys})


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Make a home whose offline store holds one row of an applied view."""
    own = Settings(home=tmp_path / "home", repo=REPO)
    with connect(own) as parts:
        parts.catalog.apply(make_plan(parts), actor="ann")
        schema = row_schema(VIEW)
        plain = [["line-1"] if field.name in dict(VIEW.entity_keys) else [1] for field in schema]
        table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(plain, schema, strict=True)], schema=schema)
        parts.offline.write_rows(VIEW, table, batch="one")
        parts.online.write(VIEW, table)
    yield own
    EmbeddedValkey(own.home / "online").shut_down()


@pytest.mark.parametrize("lost", ["all", "mark"])
def test_whoever_comes_next_fills_a_server_that_is_not_whole(settings: Settings, lost: str) -> None:
    """Emptied as by a restart, or cut off before the filling was done: the next command answers from offline's rows."""
    with connect(settings) as parts, redis.Redis.from_url(parts.redis_url) as raw:
        assert row(parts) == Status.PRESENT
        parts.online.remove(VIEW, keys())
        raw.delete("lineshaft:filled") if lost == "mark" else raw.flushall()
        with pytest.raises(UnavailableError, match="lost its rows"):  # nobody knows whether there is a row
            row(parts)

    with connect(settings) as parts:
        assert row(parts) == Status.PRESENT
        parts.online.remove(VIEW, keys())

    with connect(settings, keep_online=False) as parts:  # whole once, it is not filled again: what is gone is gone
        assert row(parts) == Status.NOT_FOUND


def test_a_second_project_on_one_server_is_filled_for_itself(settings: Settings) -> None:
    """The mark is each project's own."""
    with connect(settings) as parts:
        assert parts.online.filled()

    with connect(settings.model_copy(update={"project": "other"}), keep_online=False) as parts:
        assert parts.online.filled()
        assert row(parts) == Status.NOT_FOUND
