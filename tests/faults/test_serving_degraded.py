"""The online store dies or hangs under a running server: clients get what is known, in time, and are told so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import redis

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.frames import FeatureFrame
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

SECOND_US = 1_000_000
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
SLOW_S = 0.3  # what a loaded machine may add before a thread runs again
RMS = "pumps__rms"


@dataclass(frozen=True, slots=True)
class Plant:
    """A client of a running server, the Valkey behind it, and its clock."""

    client: Client
    valkey: EmbeddedValkey
    clock: ManualClock
    online: RedisOnlineStore

    def ask(self, *assets: str) -> FeatureFrame:
        """Ask for features of assets."""
        return self.client.features("health", asset_id=list(assets), timeout_s=5.0)

    def send(self, number: signal.Signals) -> None:
        """Send the Valkey a signal."""
        os.kill(self.valkey.pid or 0, number)

    def write(self, asset: str, rms: float, *, event_s: int) -> None:
        """Write one row, as a job does: over a connection of its own."""
        schema = row_schema(VIEW)
        columns = ([asset], [event_s * SECOND_US], [event_s * SECOND_US], [rms])
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        store = RedisOnlineStore(self.valkey.url, project="dev")
        store.write(VIEW, pa.Table.from_arrays(arrays, schema=schema))
        store.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Start a Valkey and a server whose clock stands at 100 s; pump `a` was measured at 40 s."""
    with EmbeddedValkey(tmp_path / "online") as valkey:
        clock = ManualClock(time_us=100 * SECOND_US)
        plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)), refresh_s=3600.0)
        online = RedisOnlineStore(valkey.url, project="dev", timeout_s=0.05)
        features = FeatureHandler(plans=plans, online=online, clock=clock)
        training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
        handlers = Handlers(plans=plans, features=features, training=training)
        with background_server(handlers) as address, Client(address) as client:
            plant = Plant(client, valkey, clock, online)
            plant.write("a", 4.0, event_s=40)
            assert until(lambda: plant.ask("a").table[RMS].to_pylist() == [4.0])
            yield plant
            with suppress(ProcessLookupError):
                plant.send(signal.SIGCONT)
        valkey.shut_down()


def until(done: Callable[[], bool], *, within_s: float = 5.0) -> bool:
    """Tell whether something becomes true in time; not being able to ask is not true."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        with suppress(UnavailableError):
            if done():
                return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
def test_known_rows_are_answered_in_time_with_their_age(plant: Plant, fault: signal.Signals) -> None:
    """Hung or dead, the store's last row is served, marked degraded, and grows older by the clock."""
    plant.send(fault)
    time.sleep(0.12)
    plant.clock.advance(seconds=10)

    took = []
    for _ in range(20):
        start = time.monotonic()
        frame = plant.ask("a")
        took.append(time.monotonic() - start)
        assert frame.degraded
        assert frame.table[RMS].to_pylist() == [4.0]
        assert frame.ages["pumps"].tolist() == [70 * SECOND_US]

    assert max(took) < 0.1 + SLOW_S
    assert sorted(took)[10] < 0.05


def test_an_entity_nobody_read_is_unavailable_not_absent(plant: Plant) -> None:
    """Beside known rows an unknown one has a status of its own, and does not fail the rest."""
    plant.send(signal.SIGKILL)
    time.sleep(0.12)

    frame = plant.ask("a", "never-read")

    assert frame.degraded
    assert frame.statuses[RMS].tolist() == [Status.PRESENT, Status.UNAVAILABLE]
    assert frame.table[RMS].to_pylist() == [4.0, None]


def test_where_nothing_is_known_the_call_fails_with_a_remedy(plant: Plant) -> None:
    """A request of which the server knows no row is refused as UNAVAILABLE, and says what to do."""
    plant.send(signal.SIGKILL)
    time.sleep(0.12)

    with pytest.raises(UnavailableError) as caught:
        plant.ask("never-read")

    assert caught.value.fix


@pytest.mark.parametrize("loss", ["flush", "restart"])
def test_a_store_that_lost_its_rows_calls_nothing_missing_until_it_is_filled(plant: Plant, loss: str) -> None:
    """What was known stands in for what is not there yet, and says so; what is there again is fresh."""
    plant.write("b", 5.0, event_s=40)
    plant.online.mark_filled()
    assert until(lambda: plant.ask("a", "b").table[RMS].to_pylist() == [4.0, 5.0])
    seen = []
    if loss == "flush":
        with redis.Redis.from_url(plant.valkey.url) as raw:
            raw.flushall()
    else:
        plant.send(signal.SIGKILL)
        time.sleep(0.12)
        plant.valkey.start()
    for _ in range(30):
        with suppress(UnavailableError):
            seen.append(plant.ask("a", "b"))
    plant.write("a", 6.0, event_s=90)
    filling = until(lambda: plant.ask("a", "b").table[RMS].to_pylist() == [6.0, 5.0])
    half = plant.ask("a", "b", "c")
    plant.online.mark_filled()

    assert {tuple(frame.table[RMS].to_pylist()) for frame in seen} == {(4.0, 5.0)}
    assert filling
    assert half.degraded
    assert half.statuses[RMS].tolist() == [Status.PRESENT, Status.PRESENT, Status.UNAVAILABLE]
    assert until(lambda: plant.ask("a", "b").statuses[RMS].tolist() == [Status.PRESENT, Status.NOT_FOUND])
    assert not plant.ask("a", "b").degraded


def test_answers_are_fresh_again_within_two_seconds(plant: Plant) -> None:
    """After the store comes back, answers are its own again and no older than what it holds."""
    plant.send(signal.SIGSTOP)
    time.sleep(0.12)
    assert plant.ask("a").degraded

    plant.send(signal.SIGCONT)
    plant.write("a", 5.0, event_s=50)

    assert until(lambda: not plant.ask("a").degraded, within_s=2.0)
    assert plant.ask("a").table[RMS].to_pylist() == [5.0]


def test_a_store_that_comes_back_empty_is_believed(plant: Plant) -> None:
    """A restarted server without rows answers NOT_FOUND, not yesterday's rows as if they were fresh."""
    plant.send(signal.SIGKILL)
    time.sleep(0.12)
    assert plant.ask("a").degraded

    plant.valkey.start()

    assert until(lambda: not plant.ask("a").degraded, within_s=3.0)
    assert plant.ask("a").statuses[RMS].tolist() == [Status.NOT_FOUND]
