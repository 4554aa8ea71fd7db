"""A caller's deadline bounds the work done for it, however slow the store is, whatever the server's own limits say."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.clock import SystemClock
from lineshaft.drills.wire import Manner, Wire
from lineshaft.errors import UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.calls import Call
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.metrics import Metrics
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

DEADLINE_S, STORE_S, PATIENT_S = 0.05, 0.5, 5.0
CALLS = 9
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))


class Watched(Metrics):
    """The numbers of a server, with what each call took, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.took: list[float] = []

    def called(self, call: Call, code: str, seconds: float) -> None:
        """Note one call."""
        super().called(call, code, seconds)
        self.took.append(seconds)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Client, Watched, Wire]]:
    """Serve from a store behind a wire that takes half a second each way; the server itself would wait five."""
    metrics = Watched()
    with EmbeddedValkey(tmp_path / "online") as valkey, Wire(valkey.socket_path) as wire:
        schema = row_schema(VIEW)
        arrays = [pa.array([c], f.type) for c, f in zip(("a", 1, 1, 4.0), schema, strict=True)]
        online = RedisOnlineStore(wire.url, project="dev", timeout_s=PATIENT_S)
        online.write(VIEW, pa.Table.from_arrays(arrays, schema=schema))
        wire.manner = Manner(delay_s=STORE_S)
        plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)), refresh_s=3600.0)
        features = FeatureHandler(plans=plans, online=online, clock=SystemClock())
        training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
        handlers = Handlers(plans=plans, features=features, training=training, metrics=metrics)
        with (
            background_server(handlers, limits=Limits(store_timeout_s=PATIENT_S)) as address,
            Client(address) as client,
        ):
            yield client, metrics, wire
        valkey.shut_down()


def test_work_stops_with_the_deadline(slow: tuple[Client, Watched, Wire]) -> None:
    """Calls of 50 ms against a store of 500 ms cost the server hardly more than 50 ms each, and leave no thread."""
    client, metrics, _ = slow
    before = threading.active_count()

    for _ in range(CALLS):
        with pytest.raises(UnavailableError):
            client.features("health", asset_id=["a"], timeout_s=DEADLINE_S)
        time.sleep(0.25)  # the breaker leaves the store alone for 0.2 s: each call is to try it

    assert len(metrics.took) >= CALLS // 2  # a busy machine may let one pass before the server has seen it
    assert statistics.median(metrics.took) > DEADLINE_S / 2
    assert statistics.median(metrics.took) < DEADLINE_S + 0.02
    assert max(metrics.took) < STORE_S
    assert threading.active_count() - before <= 16 + 4  # the pool's and those that connect


def test_a_store_that_is_quick_again_answers_within_the_same_deadline(slow: tuple[Client, Watched, Wire]) -> None:
    """What the slow time left behind holds nobody up."""
    client, _, wire = slow
    with pytest.raises(UnavailableError):
        client.features("health", asset_id=["a"], timeout_s=DEADLINE_S)
    wire.manner = Manner()
    wire.cut()

    def answered() -> bool:
        try:
            frame = client.features("health", asset_id=["a"], timeout_s=0.5)
            return bool(frame.table["pumps__rms"].to_pylist() == [4.0])
        except UnavailableError:
            return False

    assert any(answered() for _ in range(100))
