"""A real Valkey for the tests of what stands on one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from lineshaft.stores.embedded import embedded_server


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
