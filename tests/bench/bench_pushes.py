"""How soon a written row reaches those who watch it, and what a server spends on watchers.

    python tests/bench/bench_pushes.py                   about a minute

A Valkey, a server of its own process, 60 features in 3 views. One watcher of 100 entities: from before the write of one
row until the client has the answer. Then 100 watchers of 100 entities each: the server's CPU seconds a second while
nobody writes, while nobody writes and changes are not told (rows are looked at), and while one entity of each watcher
is written each second. Beside it what one look costs, which every 50 ms would be 20 of a watcher and second.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from lineshaft.clock import SystemClock
from lineshaft.errors import UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, Limits, serve
from lineshaft.serving.watching import state_of
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.keys import Keys

WATCHERS, ROWS, WRITES = 100, 100, 1000
VIEWS = tuple(
    View(
        name=f"v{number}",
        source=Source(name="s", channels=("x",), units=("g",)),
        entity_keys=(("asset_id", "string"),),
        features=tuple(Feature(name=f"f{i}") for i in range(20)),
        ttl_us=3600_000_000,
    )
    for number in range(3)
)
SERVICE = Service(
    name="health",
    views=tuple(ServiceView(view=view.name, version=view.version, features=view.feature_names) for view in VIEWS),
)
CLOCK = SystemClock()


class Untold:
    """A store that does not tell of changes, and answers as promptly."""

    def __init__(self, store: RedisOnlineStore) -> None:
        self.read, self.read_at_once, self.last_known = store.read, store.read_at_once, store.last_known


def handler(url: str, *, told: bool = True) -> FeatureHandler:
    """Return what answers from the store at a URL."""
    store = RedisOnlineStore(url, project="bench", timeout_s=1.0)
    plans = Plans(catalog=FixedCatalog(all_views=VIEWS, all_services=(SERVICE,)))
    online: Any = store if told else Untold(store)
    return FeatureHandler(plans=plans, online=online, clock=CLOCK)


def serve_bench(url: str, *, told: bool) -> None:
    """Serve from this process; say where."""
    features = handler(url, told=told)
    training = TrainingSetHandler(plans=features.plans, offline=MemoryOfflineStore())
    handlers = Handlers(plans=features.plans, features=features, training=training)
    limits = Limits(store_timeout_s=1.0, max_streams=2 * WATCHERS, max_concurrent_calls=3 * WATCHERS)
    serve(handlers, "127.0.0.1:0", limits=limits, ready=lambda bound: print(bound, flush=True))


@contextmanager
def server(url: str, *, told: bool) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server of its own process; yield its address and its process."""
    command = [sys.executable, __file__, "--serve", url, "told" if told else "untold"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def write(store: RedisOnlineStore, value: float, entities: Sequence[int]) -> None:
    """Write one row of each view for each entity."""
    now_us = CLOCK.now_us()
    keys = {"asset_id": [f"a{i}" for i in entities]}
    times = {"event_time": [now_us] * len(entities), "known_at": [now_us] * len(entities)}
    for view in VIEWS:
        features = {name: [value] * len(entities) for name in view.feature_names}
        store.write(view, pa.table({**keys, **times, **features}).cast(row_schema(view)))


def delays(store: RedisOnlineStore, address: str) -> dict[str, float]:
    """Return how long it took from before a write until the answer was there, in milliseconds."""
    took = []
    with Client(address) as client:
        answers = client.watch("health", asset_id=[f"a{i}" for i in range(ROWS)], min_interval_s=0.001)
        next(answers)
        time.sleep(2.0)
        for i in range(WRITES):
            time.sleep(0.01)
            start = time.perf_counter()
            write(store, float(i), [i % ROWS])
            while next(answers).table["v2__f0"][i % ROWS].as_py() != float(i):
                pass
            took.append((time.perf_counter() - start) * 1e3)
    p50, p99 = np.percentile(took, [50, 99])
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


def spent(store: RedisOnlineStore, address: str, process: psutil.Process, *, writes: bool) -> float:
    """Return the CPU seconds a second that a server of 100 watchers takes."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(address)) for _ in range(4)]
        watches: list[Any] = []
        for number in range(WATCHERS):
            keys = [f"a{number * ROWS + i}" for i in range(ROWS)]
            watches.append(clients[number % 4].watch("health", asset_id=keys))
            next(watches[-1])
        readers = [threading.Thread(target=read_to_end, args=(one,), daemon=True) for one in watches]
        for reader in readers:
            reader.start()
        time.sleep(2.0)
        start, before = time.monotonic(), sum(process.cpu_times()[:2])
        for second in range(8):
            if writes:
                write(store, float(second), [number * ROWS for number in range(WATCHERS)])
            time.sleep(max(start + second + 1 - time.monotonic(), 0.0))
        used: float = sum(process.cpu_times()[:2]) - before
        return used / (time.monotonic() - start)


def read_to_end(answers: Iterator[Any]) -> None:
    """Read what comes until there is no more."""
    with suppress(UnavailableError, ValueError):
        for _ in answers:
            pass


def look_ms(url: str) -> float:
    """Return the CPU time of one look at 100 entities whose rows are held near."""
    features, keys = handler(url), Keys({"asset_id": [f"a{i}" for i in range(ROWS)]})
    features.get("health", keys)
    took = []
    for _ in range(300):
        start = time.process_time()
        served = features.get_at_once("health", keys)
        if served is not None:
            state_of(served)
        took.append((time.process_time() - start) * 1e3)
    return statistics.median(took)


def main() -> None:
    """Print one JSON line."""
    with tempfile.TemporaryDirectory() as folder, embedded_server(Path(folder) / "online") as url:
        store = RedisOnlineStore(url, project="bench", timeout_s=5.0)
        write(store, 0.0, range(WATCHERS * ROWS))
        figures: dict[str, Any] = {"one_look_ms": round(look_ms(url), 3)}
        with server(url, told=True) as (address, process):
            figures |= delays(store, address)
            figures["cpu_nobody_writes"] = round(spent(store, address, process, writes=False), 3)
            figures["cpu_written_each_second"] = round(spent(store, address, process, writes=True), 3)
        with server(url, told=False) as (address, process):
            figures["cpu_nobody_writes_untold"] = round(spent(store, address, process, writes=False), 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_bench(sys.argv[2], told=sys.argv[3] == "told")
    else:
        main()
