"""A server whose answers are watched, what writes behind it, and readers on threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.clock import SystemClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.frames import FeatureFrame
from lineshaft.serving.metrics import Metrics
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

CLOCK = SystemClock()
SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(name="pumps", source=SOURCE, entity_keys=(("asset_id", "string"),), features=(Feature(name="rms"),))
BRIEF = View(
    name="brief",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="level"),),
    ttl_us=700_000,
)
WORDS = View(
    name="words",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="word", dtype="string"),),
)
SERVICES = tuple(
    Service(name=view.name, views=(ServiceView(view=view.name, version=view.version, features=view.feature_names),))
    for view in (PUMPS, BRIEF, WORDS)
)
VIEWS = {view.name: view for view in (PUMPS, BRIEF, WORDS)}
TTL_US = BRIEF.ttl_us


@dataclass(kw_only=True)
class Place:
    """A server, the store behind it, and another connection to that, as a job has one."""

    address: str
    handlers: Handlers
    job: Any

    def sample(self, name: str, **labels: str) -> float | None:
        """Return one of the server's numbers."""
        assert self.handlers.metrics is not None
        return self.handlers.metrics.registry.get_sample_value(name, labels)

    def until(self, condition: Callable[[], bool], within_s: float = 5.0) -> None:
        """Wait for something to become true."""
        end_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end_s, "it did not come about"
            time.sleep(0.01)

    def told(self) -> float | None:
        """Return 1 if the store tells the server of changes."""
        return self.sample("lineshaft_changes_told")

    def remove(self, name: str, assets: pa.Table) -> None:
        """Take rows away."""
        self.job.remove(VIEWS[name], assets)

    def write(self, name: str, value: Any, *assets: str) -> int:
        """Write a row of now for each asset; return its event time."""
        now_us, view = CLOCK.now_us(), VIEWS[name]
        rows = {"asset_id": assets, "event_time": [now_us] * len(assets), "known_at": [now_us] * len(assets)}
        rows[view.feature_names[0]] = [value] * len(assets)
        self.job.write(view, pa.table(rows).cast(row_schema(view)))
        return now_us


def place_of(
    stack: ExitStack,
    online: Any,
    job: Any,
    clock: Any = CLOCK,
    *,
    address: str = "127.0.0.1:0",
    shared: bool = False,
) -> Place:
    """Serve what a store has; `job` writes to it."""
    plans = Plans(catalog=FixedCatalog(all_views=(PUMPS, BRIEF, WORDS), all_services=SERVICES))
    features = FeatureHandler(plans=plans, online=online, clock=clock)
    training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
    handlers = Handlers(plans=plans, features=features, training=training, metrics=Metrics())
    limits = Limits(store_timeout_s=0.25, shared_port=shared)
    bound = stack.enter_context(background_server(handlers, address, limits=limits))
    return Place(address=bound, handlers=handlers, job=job)


@pytest.fixture(name="place_of")
def serving() -> Callable[..., Place]:
    """Return what serves a store within a stack."""
    return place_of


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Serve from a Valkey of one's own."""
    with ExitStack() as stack:
        url = stack.enter_context(embedded_server(tmp_path / "online"))
        online, job = (RedisOnlineStore(url, project="dev", timeout_s=0.25) for _ in range(2))
        yield place_of(stack, online, job)
        online.close()
        job.close()


@dataclass(kw_only=True)
class Reader:
    """Reads a watch on a thread, and remembers when what came."""

    frames: list[FeatureFrame] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    more: threading.Condition = field(default_factory=threading.Condition)

    def run(self, answers: Iterator[FeatureFrame]) -> None:
        """Read to the end."""
        try:
            for frame in answers:
                with self.more:
                    self.frames.append(frame)
                    self.more.notify_all()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            with self.more:
                self.errors.append(error)
                self.more.notify_all()

    def until(self, count: int, within_s: float = 5.0) -> FeatureFrame:
        """Return an answer when so many are there."""
        with self.more:
            assert self.more.wait_for(lambda: len(self.frames) >= count, within_s), (len(self.frames), self.errors)
            return self.frames[count - 1]


@pytest.fixture
def watched(place: Place) -> Iterator[Any]:
    """Return what starts to watch on a thread; what was started ends with the test."""
    clients: list[Client] = []

    def start(service: str = "pumps", assets: tuple[str, ...] = ("p0",), at: Place = place, **pace: Any) -> Reader:
        clients.append(Client(at.address))
        reader = Reader()
        answers = clients[-1].watch(service, asset_id=list(assets), **pace)
        threading.Thread(target=reader.run, args=(answers,), daemon=True).start()
        return reader

    yield start
    for client in clients:
        client.close()
