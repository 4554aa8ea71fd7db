"""Online stores of each kind: the memory twin, a real Valkey, one that sentinels watch, and a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lineshaft.drills.fleets import shared, watched
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.online_redis import RedisOnlineStore


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one Valkey."""
    with embedded_server(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="package")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a primary, a replica and three sentinels."""
    with watched(tmp_path_factory.mktemp("watched")) as fleet:
        yield fleet.url


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start three servers that share the keys."""
    with shared(tmp_path_factory.mktemp("shared")) as fleet:
        yield fleet.url


@pytest.fixture(params=["memory", "server", "sentinels", "cluster"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryOnlineStore | RedisOnlineStore]:
    """Return an empty store of each kind: a project of its own, so that nobody has to clean up."""
    if request.param == "memory":
        yield MemoryOnlineStore()
        return
    redis_store = RedisOnlineStore(
        request.getfixturevalue(request.param), project=f"test-{tmp_path.name}", timeout_s=5.0
    )
    yield redis_store
    redis_store.close()
