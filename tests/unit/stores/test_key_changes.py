"""What a real Valkey says of keys that change, over a connection of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from select import select

import pyarrow as pa
import pytest

from lineshaft.errors import UnavailableError
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.key_changes import KeyChanges
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Wanted
from lineshaft.stores.redis_link import RedisLink

SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS, FANS = (
    View(name=name, source=SOURCE, entity_keys=(("asset_id", "string"),), features=(Feature(name="rms"),))
    for name in ("pumps", "fans")
)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """Start a server."""
    with EmbeddedValkey(tmp_path / "online") as server:
        yield server


@pytest.fixture
def store(valkey: EmbeddedValkey) -> Iterator[RedisOnlineStore]:
    """Return a store that writes there."""
    online = RedisOnlineStore(valkey.url, project="dev", timeout_s=2.0)
    yield online
    online.close()


def write(store: RedisOnlineStore, view: View, asset: str, time_us: int) -> None:
    """Write one row."""
    row = {"asset_id": [asset], "event_time": [time_us], "known_at": [time_us], "rms": [1.0]}
    store.write(view, pa.table(row).cast(row_schema(view)))


def name_of(store: RedisOnlineStore, view: View, asset: str) -> bytes:
    """Return what the row of an asset is called."""
    (name,) = store.names([Wanted(view=view, features=("rms",), keys=pa.table({"asset_id": [asset]}))])
    return name


def said(changes: KeyChanges) -> set[bytes] | None:
    """Return what is said next."""
    assert select([changes.fileno()], [], [], 5.0)[0]
    return changes.poll()


def test_rows_of_followed_views_are_named_and_no_others(valkey: EmbeddedValkey, store: RedisOnlineStore) -> None:
    """Each write that changes a row, and each removal; first that the telling has begun; following twice is nothing."""
    doubts: list[int] = []
    changes = KeyChanges(
        RedisLink(valkey.url), prefix_of=lambda view: name_of(store, view, "a")[:8], changed=lambda: doubts.append(1)
    )
    changes.follow([PUMPS])
    changes.follow([PUMPS])
    assert said(changes) is None
    write(store, FANS, "a", 1)
    write(store, PUMPS, "a", 1)
    assert said(changes) == {name_of(store, PUMPS, "a")}
    assert len(doubts) == 2
    changes.beat()
    assert said(changes) == set()
    assert len(doubts) == 2, "nobody doubts for a sign of life"
    store.remove(PUMPS, pa.table({"asset_id": ["a"]}))
    assert said(changes) == {name_of(store, PUMPS, "a")}
    changes.follow([PUMPS, FANS])
    assert said(changes) is None
    write(store, FANS, "b", 1)
    assert said(changes) == {name_of(store, FANS, "b")}
    changes.close()


def test_a_server_that_is_emptied_says_that_anything_may_have_changed(
    valkey: EmbeddedValkey, store: RedisOnlineStore
) -> None:
    """Nobody knows which keys there were."""
    write(store, PUMPS, "a", 1)
    changes = store.changes()
    changes.follow([PUMPS])
    assert said(changes) is None
    RedisLink(valkey.url).run(lambda session: session.call("FLUSHALL"), budget_s=2.0)
    assert said(changes) is None
    changes.close()


def test_a_server_that_hangs_or_goes_is_noticed(valkey: EmbeddedValkey, store: RedisOnlineStore) -> None:
    """One owes a sign of life when the next is asked for; the other hangs up."""
    hung, gone = store.changes(), store.changes()
    pid = valkey.pid or 0
    os.kill(pid, signal.SIGSTOP)
    hung.beat()
    with pytest.raises(UnavailableError, match="in time"):
        hung.beat()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UnavailableError):
        said(gone)
    hung.close()
    gone.close()
