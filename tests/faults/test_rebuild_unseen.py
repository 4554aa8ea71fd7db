"""While the online store is rebuilt or proved, who asks sees rows: at no moment is one missing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.ops.proof import prove_rebuild
from lineshaft.ops.rebuild import rebuild
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
ASSETS = [f"p{i}" for i in range(2000)]
ASKED = pa.table({"asset_id": ASSETS[::100]})
ROUNDS = 5


def rows(rms: float) -> pa.Table:
    """Return a row of each asset."""
    columns: tuple[list[Any], ...] = (ASSETS, [1] * len(ASSETS), [1] * len(ASSETS), [rms] * len(ASSETS))
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, row_schema(VIEW), strict=True)], row_schema(VIEW))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Somebody who asks again and again, and counts what he is told."""

    handler: FeatureHandler
    statuses: Counter[int] = field(default_factory=Counter)
    values: Counter[float | None] = field(default_factory=Counter)
    degraded: list[bool] = field(default_factory=list)

    def ask(self) -> None:
        """Ask once."""
        served = self.handler.get_at_once("health", ASKED) or self.handler.get("health", ASKED, budget_s=5.0)
        self.degraded.append(served.degraded)
        answer = served.answer
        self.statuses.update(answer.status.ravel().tolist())
        self.values.update(answer.columns["pumps__rms"].to_pylist())


@contextmanager
def asking(askers: list[Asker], *, rounds: int = 20) -> Iterator[None]:
    """Let each ask on a thread of its own from before the work within begins until after it ends."""
    done, begun = threading.Event(), threading.Barrier(len(askers) + 1)

    def loop(asker: Asker) -> None:
        asker.ask()
        begun.wait(10)
        left = rounds
        while left:
            asker.ask()
            left -= done.is_set()

    threads = [threading.Thread(target=loop, args=(asker,)) for asker in askers]
    for thread in threads:
        thread.start()
    begun.wait(10)
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Offline rows, the live store and another of the same server, and two who ask: near rows kept, and none kept."""

    offline: MemoryOfflineStore
    online: RedisOnlineStore
    scratch: RedisOnlineStore
    askers: list[Asker]


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run a real Valkey that holds what offline does."""
    with embedded_server(tmp_path_factory.mktemp("valkey")) as url:
        offline = MemoryOfflineStore()
        offline.write_rows(VIEW, rows(1.0), batch="one")
        stores = [RedisOnlineStore(url, project="dev", timeout_s=5.0, near_rows=near) for near in (0, 0, 100_000)]
        scratch = RedisOnlineStore(url, project="dev.scratch", timeout_s=5.0)
        online, *others = stores
        online.write(VIEW, rows(1.0))
        plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
        askers = [
            Asker(handler=FeatureHandler(plans=plans, online=one, clock=ManualClock(time_us=10))) for one in others
        ]
        yield Place(offline=offline, online=online, scratch=scratch, askers=askers)
        for one in (*stores, scratch):
            one.close()


def prove(place: Place) -> None:
    """Hold the live store against one filled from nothing."""
    checks = prove_rebuild([VIEW], offline=place.offline, online=place.online, scratch=place.scratch)
    assert all(check.result.equal for check in checks)


def rebuild_same(place: Place) -> None:
    """Rebuild what is whole."""
    (done,) = rebuild([VIEW], place.offline, place.online)
    assert done.found == "the same bytes"


def rebuild_other(place: Place) -> None:
    """Make every row another, of a later time, and rebuild it."""
    columns = rows(2.0).set_column(1, "event_time", pa.array([2] * len(ASSETS), row_schema(VIEW).field(1).type))
    place.online.write(VIEW, columns)
    (done,) = rebuild([VIEW], place.offline, place.online)
    assert done.rows.changed == len(ASSETS)


@pytest.mark.parametrize("work", [prove, rebuild_same, rebuild_other])
def test_no_row_is_missing_meanwhile(place: Place, work: Callable[[Place], None]) -> None:
    """Two who ask all the time are told of rows that are there, and in the end of those that offline has."""
    with asking(place.askers):
        for _ in range(ROUNDS):
            work(place)

    for asker in place.askers:
        assert set(asker.statuses) == {Status.PRESENT}
        assert set(asker.values) <= {1.0, 2.0}
        assert not any(asker.degraded)
        assert asker.statuses.total() > 25 * ASKED.num_rows
        asker.values.clear()
        asker.ask()
        assert set(asker.values) == {1.0}
    assert place.scratch.clear(VIEW) == 0
