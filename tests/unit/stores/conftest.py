"""A real Valkey for the tests of what stands on one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
import redis

from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.near_cache import Ask, NearCache
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import codec_of


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one Valkey for the module."""
    with embedded_server(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def raw(url: str) -> Iterator[Any]:
    """Return a plain client on an empty server."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(url: str, raw: Any) -> RedisOnlineStore:
    """Return a store that writes what others read."""
    assert raw.dbsize() == 0
    return RedisOnlineStore(url, project="dev", timeout_s=10.0)


class Pumps:
    """A view, and how tests of rows near the reader write it, ask for it, and count what that costs the server."""

    view = View(
        name="pumps",
        source=Source(name="s", channels=("x",), units=("g",)),
        entity_keys=(("asset_id", "string"),),
        features=(Feature(name="rms"), Feature(name="starts", dtype="int64")),
    )

    def rows(self, *assets: str, event: int = 1, rms: float = 1.0) -> pa.Table:
        """Return a row for each asset."""
        n = len(assets)
        columns = (list(assets), [event] * n, [event] * n, [rms] * n, [event] * n)
        schema = row_schema(self.view)
        return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)

    def ask(self, *assets: str) -> list[Ask]:
        """Return the question for these assets."""
        codec = codec_of(self.view)
        keys = codec.keys.encode(pa.table({"asset_id": list(assets)}))
        return [Ask(codec=codec, prefix=codec.prefix("dev"), keys=keys, features=("rms",))]

    def read(self, near: NearCache, *assets: str) -> list[float | None]:
        """Return what a cache answers for these assets."""
        found = near.read(self.ask(*assets), budget_s=10.0)
        assert found is not None
        answer: list[float | None] = found[0].rows["rms"].to_pylist()
        return answer

    def gets(self, raw: Any) -> int:
        """Return how often the server was asked for rows."""
        stats: dict[str, Any] = raw.info("commandstats")
        return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])

    def pings(self, raw: Any) -> int:
        """Return how often the server was asked for a sign of life."""
        stats: dict[str, Any] = raw.info("commandstats")
        return int(stats.get("cmdstat_ping", {"calls": 0})["calls"])

    def until(self, done: Callable[[], bool], *, within_s: float = 5.0) -> bool:
        """Tell whether something becomes true in time."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if done():
                return True
        return False


@pytest.fixture
def pumps() -> Pumps:
    """Return the view of pumps and what is done with it."""
    return Pumps()
