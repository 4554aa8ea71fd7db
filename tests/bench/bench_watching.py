"""What it costs a call to be watched: metrics, the log, spans; processor time in this process, medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pyarrow as pa
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lineshaft.clock import SystemClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.call_log import CallLog
from lineshaft.serving.calls import begin
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.metrics import Metrics
from lineshaft.serving.traces import Traces
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.tiles.keys import Keys

ROUNDS, CALLS = 21, 500
VIEWS = tuple(
    View(
        name=f"v{number}",
        source=Source(name="s", channels=("x",), units=("g",)),
        entity_keys=(("asset_id", "string"),),
        features=tuple(Feature(name=f"f{i}") for i in range(20)),
        ttl_us=60_000_000,
    )
    for number in range(3)
)
SERVICE = Service(
    name="health",
    views=tuple(ServiceView(view=view.name, version=view.version, features=view.feature_names) for view in VIEWS),
)
METHOD = "/lineshaft.rpc.v1.FeatureService/GetFeatures"


def microseconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call of `work`, the median of rounds."""
    took = []
    work()
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            work()
        took.append((time.process_time() - start) / CALLS * 1e6)
    return statistics.median(took)


def main() -> None:
    """Print a line for each way of being watched and size of answer."""
    online, clock = MemoryOnlineStore(), SystemClock()
    now_us = clock.now_us()
    for view in VIEWS:
        rows = {"asset_id": [f"a{i}" for i in range(1000)], "event_time": [now_us] * 1000, "known_at": [now_us] * 1000}
        rows |= {name: [1.0] * 1000 for name in view.feature_names}
        online.write(view, pa.table(rows).cast(row_schema(view)))
    handler = FeatureHandler(
        plans=Plans(catalog=FixedCatalog(all_views=VIEWS, all_services=(SERVICE,))), online=online, clock=clock
    )
    call = begin(METHOD, ())
    call.feature_service = SERVICE.name
    log, traces = CallLog(), Traces(InMemorySpanExporter(), clock=clock)
    print(f"knowing a call      {microseconds(lambda: begin(METHOD, ())):5.1f} us")
    print(f"log, answered well  {microseconds(lambda: log(call, 'OK', 0.001)):5.1f} us")
    for count in (1, 100, 1000):
        served = handler.get(SERVICE.name, Keys({"asset_id": [f"a{i}" for i in range(count)]}))
        metrics = Metrics()

        def counted(served: object = served, metrics: Metrics = metrics) -> None:
            metrics.served(served)  # type: ignore[arg-type]
            metrics.called(call, "OK", 0.001)

        print(f"metrics, {count:4d} rows  {microseconds(counted):5.1f} us")
    call.read_at_s, call.read_s = time.perf_counter(), 0.0001
    print(f"three spans         {microseconds(lambda: traces(call, 'OK', 0.001)):5.1f} us")


if __name__ == "__main__":
    main()
