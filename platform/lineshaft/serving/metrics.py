"""What a server does, in numbers that Prometheus reads: calls, values by status, ages, degraded answers, the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from lineshaft.errors import EnvironmentFault
from lineshaft.ops.pushes import Pushed
from lineshaft.serving.addresses import host_and_port, refuse_open_address
from lineshaft.serving.breaker import Breaker
from lineshaft.serving.features import Served
from lineshaft.serving.write_behind import WriteBehind
from lineshaft.specs import Status
from lineshaft.stores.ports import Counting
from lineshaft.tiles.answer import UNKNOWN_AGE_US

_CALL_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGE_BUCKETS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0, 86400.0)
_SETTING = "LINESHAFT_METRICS_ADDRESS"
_STATES = {"closed": 0, "half-open": 1, "open": 2}
_NAMES = [status.name.lower() for status in Status]


class Metrics:
    """The numbers of one server, in a registry of their own.

    >>> metrics = Metrics(); metrics.called("/s/GetFeatures", "OK", 0.002)
    >>> metrics.registry.get_sample_value("lineshaft_call_seconds_count", {"method": "GetFeatures", "code": "OK"})
    1.0
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Histogram(
            "lineshaft_call_seconds",
            "Time of calls by method and gRPC status; of a stream, from its first question to its end.",
            ["method", "code"],
            buckets=_CALL_BUCKETS,
            registry=self.registry,
        )
        self._values = Counter(
            "lineshaft_values",
            "Values answered, by feature service and status.",
            ["feature_service", "status"],
            registry=self.registry,
        )
        self._degraded = Counter(
            "lineshaft_degraded_answers",
            "Answers made of rows known earlier, since the online store could not be asked.",
            ["feature_service"],
            registry=self.registry,
        )
        self._ages = Histogram(
            "lineshaft_row_age_seconds",
            "Age of the oldest row of an answer, by view; rows that are not there have none.",
            ["view"],
            buckets=_AGE_BUCKETS,
            registry=self.registry,
        )

        self._pushed = Counter(
            "lineshaft_pushed_rows",
            "Rows pushed, by source and what became of them: accepted, repeat, or why they were rejected.",
            ["source", "outcome"],
            registry=self.registry,
        )

    def called(self, method: str, code: str, seconds: float) -> None:
        """Count one call."""
        self._calls.labels(method=method.rpartition("/")[2], code=code).observe(seconds)

    def served(self, served: Served) -> None:
        """Count the values of one answer, and note how old its rows are."""
        service, status = served.plan.service.name, served.answer.status
        counts = np.bincount(status.ravel()).tolist() if not served.answer.whole else [0, status.size]
        for code, count in enumerate(counts):
            if count:
                self._values.labels(service, _NAMES[code]).inc(count)
        if served.degraded:
            self._degraded.labels(feature_service=service).inc()
        for view, ages in served.answer.age_us.items():
            oldest = int(ages.max()) if len(ages) else UNKNOWN_AGE_US
            if oldest != UNKNOWN_AGE_US:
                self._ages.labels(view=view).observe(oldest / 1e6)

    def pushed(self, pushed: Pushed) -> None:
        """Count the rows of one push by what became of them."""
        outcomes = {**pushed.rejected, "repeat" if pushed.repeat else "accepted": pushed.accepted}
        for outcome, count in outcomes.items():
            self._pushed.labels(source=pushed.source, outcome=outcome).inc(count)

    def watch(self, breaker: Breaker, store: object) -> None:
        """Show the state of the breaker and, if the store counts them, where rows came from."""
        state = Gauge(
            "lineshaft_online_store_breaker",
            "Whether the online store is asked: 0 yes, 1 by one call that tries, 2 no.",
            registry=self.registry,
        )
        state.set_function(lambda: _STATES[breaker.state])
        if isinstance(store, Counting):
            rows = Gauge(
                "lineshaft_rows_read",
                "Rows read since the start: from this process's memory, or from the server.",
                ["source"],
                registry=self.registry,
            )
            rows.labels(source="memory").set_function(lambda: store.rows_read()[0])
            rows.labels(source="server").set_function(lambda: store.rows_read()[1])

    def watch_logs(self, logs: Sequence[WriteBehind[Any]]) -> None:
        """Show what became of the rows of logs."""
        rows = Gauge(
            "lineshaft_log_rows",
            "Rows of answers and predictions since the start: written, lost because they could not be, or held still.",
            ["log", "outcome"],
            registry=self.registry,
        )
        for log in logs:
            for outcome in ("written", "lost", "held"):
                rows.labels(log=log.name, outcome=outcome).set_function(partial(getattr, log, outcome))


@contextmanager
def exposed(metrics: Metrics | None, address: str) -> Iterator[str]:
    """Show the numbers at `http://<address>/metrics`; yield the address, its port filled in. Nothing for an empty one.

    Raises `InputError` for an address that will not do, `EnvironmentFault` where it cannot be listened on.
    """
    if not address or metrics is None:
        yield ""
        return
    refuse_open_address(address, setting=_SETTING)
    host, port = host_and_port(address, setting=_SETTING)
    try:
        server, thread = start_http_server(port, host, registry=metrics.registry)
    except OSError as error:
        what = f"cannot listen on {address}: {error}"
        raise EnvironmentFault(what, fix=f"stop what listens there, or set {_SETTING}") from error
    try:
        yield f"{address.rpartition(':')[0]}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
