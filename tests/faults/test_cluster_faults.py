"""A server of a cluster dies, hangs, or fails over: its rows are the last known and say so, the others' are fresh."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.drills.fleets import Shared, shared, until
from lineshaft.errors import UnavailableError
from lineshaft.ops.rebuild import rebuild
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.frames import FeatureFrame
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.cluster_map import SLOTS, slot_of
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import prefix_of
from lineshaft.stores.ports import Wanted

SECOND_US = 1_000_000
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
RMS = "pumps__rms"
BUDGET_S = 0.1
SLOW_S = 0.3  # what a loaded machine may add before a thread runs again


def rows(assets: list[str], rms: float, *, event_s: int) -> pa.Table:
    """Return a row of each asset."""
    schema = row_schema(VIEW)
    n = len(assets)
    columns = (assets, [event_s * SECOND_US] * n, [event_s * SECOND_US] * n, [rms] * n)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def of(fleet: Shared, port: int, number: int, *, start: int = 0) -> list[str]:
    """Return names of assets whose rows a primary holds."""
    size, prefix = SLOTS // len(fleet.primaries) + 1, prefix_of("dev", VIEW.ref)
    names = (f"a{i}" for i in range(start, 10_000))
    held = (name for name in names if fleet.primaries[slot_of(prefix + name.encode()) // size] == port)
    return [next(held) for _ in range(number)]


@dataclass(frozen=True, slots=True)
class Plant:
    """A client of a server on a cluster; assets of the server that is hurt, and of another."""

    fleet: Shared
    client: Client
    writer: RedisOnlineStore
    clock: ManualClock
    hurt: int
    theirs: list[str]
    others: list[str]

    def ask(self, *assets: str) -> FeatureFrame:
        """Ask for features of assets."""
        return self.client.features("health", asset_id=list(assets), timeout_s=5.0)

    def write(self, assets: list[str], rms: float, *, event_s: int) -> None:
        """Write rows as a job does."""
        self.writer.write(VIEW, rows(assets, rms, event_s=event_s))


@contextmanager
def serving(fleet: Shared) -> Iterator[Plant]:
    """Serve from a cluster, at 100 s; every asset was measured at 40 s, and asked for once."""
    clock = ManualClock(time_us=100 * SECOND_US)
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)), refresh_s=3600.0)
    online = RedisOnlineStore(fleet.url, project="dev")
    writer = RedisOnlineStore(fleet.url, project="dev", write_timeout_s=2.0, near_rows=0)
    features = FeatureHandler(plans=plans, online=online, clock=clock)
    training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
    handlers = Handlers(plans=plans, features=features, training=training)
    with background_server(handlers, limits=Limits(store_timeout_s=BUDGET_S)) as at, Client(at) as client:
        first, second = fleet.primaries[:2]
        plant = Plant(fleet, client, writer, clock, first, of(fleet, first, 3), of(fleet, second, 3))
        plant.write(plant.theirs + plant.others, 4.0, event_s=40)
        until(lambda: plant.ask(*plant.theirs, *plant.others).table[RMS].to_pylist() == [4.0] * 6, what="warm")
        yield plant
    online.close()
    writer.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Serve from three servers without replicas."""
    with shared(tmp_path / "shared", timeout_ms=2000) as fleet, serving(fleet) as plant:
        yield plant


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_server_costs_its_own_rows_and_no_others(plant: Plant, fault: signal.Signals) -> None:
    """Rows of the other servers are as new as they are; those of the lost one are the last read, with their age."""
    unread = of(plant.fleet, plant.hurt, 4)[3]
    plant.fleet.fleet.send(plant.hurt, fault)
    plant.clock.advance(seconds=10)
    took = []
    for number in range(20):
        plant.write(plant.others, 5.0 + number, event_s=50 + number)
        start = time.monotonic()
        frame = plant.ask(*plant.theirs, *plant.others, unread)
        took.append(time.monotonic() - start)

        assert frame.degraded
        assert frame.table[RMS].to_pylist() == [4.0] * 3 + [5.0 + number] * 3 + [None]
        assert frame.statuses[RMS].tolist() == [Status.PRESENT] * 6 + [Status.UNAVAILABLE]
        assert frame.ages["pumps"].tolist()[:6] == [70 * SECOND_US] * 3 + [(60 - number) * SECOND_US] * 3

    assert max(took) < BUDGET_S + SLOW_S
    assert sorted(took)[10] < 0.05


def test_those_who_ask_for_lost_rows_alone_do_not_hold_up_the_others(plant: Plant) -> None:
    """Call after call fails or is degraded, and still a row of another server is asked for, and fresh."""
    plant.fleet.fleet.send(plant.hurt, signal.SIGKILL)
    for number in range(10):
        plant.write(plant.others, 5.0 + number, event_s=50 + number)
        for _ in range(3):
            assert plant.ask(*plant.theirs).degraded
        frame = plant.ask(*plant.others)

        assert not frame.degraded
        assert frame.table[RMS].to_pylist() == [5.0 + number] * 3


def test_a_writer_who_starts_now_reaches_the_others(plant: Plant) -> None:
    """Rows of servers that are well are stored, also where those of a lost one are not, which is said."""
    plant.fleet.fleet.send(plant.hurt, signal.SIGKILL)
    fresh = RedisOnlineStore(plant.fleet.url, project="dev", write_timeout_s=0.5, near_rows=0)

    with pytest.raises(UnavailableError, match="3 of 6 keys"):
        fresh.write(VIEW, rows(plant.theirs + plant.others, 5.0, event_s=50))
    assert fresh.write(VIEW, rows(plant.others, 6.0, event_s=60)).kept == 3

    assert plant.ask(*plant.others).table[RMS].to_pylist() == [6.0] * 3
    fresh.close()


def test_a_server_that_comes_back_is_asked_again(plant: Plant) -> None:
    """Hung for a while and well again: within two seconds nothing is degraded, and a new row is seen."""
    plant.fleet.fleet.send(plant.hurt, signal.SIGSTOP)
    until(lambda: plant.ask(*plant.theirs).degraded, what="degraded")
    plant.fleet.fleet.send(plant.hurt, signal.SIGCONT)
    plant.write(plant.theirs, 5.0, event_s=50)

    until(lambda: not plant.ask(*plant.theirs).degraded, what="fresh again", within_s=2.0)
    assert plant.ask(*plant.theirs).table[RMS].to_pylist() == [5.0] * 3


def times_of(store: RedisOnlineStore, assets: list[str]) -> set[int]:
    """Return the event times that a store answers with, in seconds."""
    wanted = [Wanted(view=VIEW, features=("rms",), keys=pa.table({"asset_id": assets}))]
    times = store.read(wanted)[0].rows["event_time"].cast(pa.int64()).to_pylist()
    return {time_us // SECOND_US for time_us in times}


def test_a_replica_takes_over_and_a_primary_that_wakes_up_is_not_believed(tmp_path: Path) -> None:
    """The cluster votes: reads and writes follow, the old one is not believed, rebuilt bytes are the same."""
    with shared(tmp_path / "shared", replicas=True) as fleet:
        frozen, assets = fleet.primaries[0], [f"a{i}" for i in range(50)]
        theirs = of(fleet, frozen, 5)
        reader = RedisOnlineStore(fleet.url, project="dev", timeout_s=1.0)
        store = RedisOnlineStore(fleet.url, project="dev", timeout_s=1.0, write_timeout_s=1.0)
        offline = MemoryOfflineStore()
        for second in (1, 2):
            offline.write_rows(VIEW, rows(assets, 1.0, event_s=second), batch=str(second))
        store.write(VIEW, rows(assets, 1.0, event_s=1))
        assert times_of(reader, theirs) == {1}
        fleet.fleet.send(frozen, signal.SIGSTOP)

        until(lambda: store.write(VIEW, rows(assets, 1.0, event_s=2)), what="a write after the failover")
        with suppress(TimeoutError):
            fleet.fleet.send(frozen, signal.SIGCONT)

        assert times_of(reader, theirs) == times_of(store, theirs) == {2}
        whole = store.digest(VIEW)
        store.clear(VIEW)
        assert (rebuild([VIEW], offline, store)[0].found, store.digest(VIEW)) == ("nothing", whole)
        for one in (reader, store):
            one.close()
