"""What a server does, in numbers that Prometheus reads: calls, values by status, ages, refusals, the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from lineshaft.errors import EnvironmentFault
from lineshaft.ops.pushes import Pushed
from lineshaft.serving.addresses import host_and_port, refuse_open_address
from lineshaft.serving.calls import Call
from lineshaft.serving.features import Served
from lineshaft.serving.gauges import Gauges
from lineshaft.specs import Status, View
from lineshaft.tiles.answer import UNKNOWN_AGE_US

_CALL_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STORE_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
_AGE_BUCKETS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0, 86400.0)
_SETTING = "LINESHAFT_METRICS_ADDRESS"
_NAMES = [status.name.lower() for status in Status]


@dataclass(frozen=True, slots=True)
class _OfService:
    """The numbers of one feature service: looked up once, not once a call."""

    values: tuple[Any, ...]  # by status
    degraded: Any
    store: Any


@dataclass(slots=True)
class _OfView:
    """The numbers of one view."""

    age: Any
    newest: Any
    newest_us: int = 0
    ttl_us: int = 0


class Metrics(Gauges):
    """The numbers of one server, in a registry of their own. Labels are names of the catalogue, never entities.

    >>> metrics = Metrics(); metrics.called(Call("/s/GetFeatures"), "OK", 0.002)
    >>> labels = {"method": "GetFeatures", "feature_service": "", "code": "OK"}
    >>> metrics.registry.get_sample_value("lineshaft_call_seconds_count", labels)
    1.0
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls = self._histogram(
            "call_seconds",
            "Time of calls by method, feature service (empty where none was found) and gRPC status; of a stream, from "
            "its first question to its end.",
            ["method", "feature_service", "code"],
            _CALL_BUCKETS,
        )
        self._reads = self._histogram(
            "store_read_seconds",
            "Time that the rows of an answer took to come, from the online store or from this process's memory.",
            ["feature_service"],
            _STORE_BUCKETS,
        )
        self._ages = self._histogram(
            "row_age_seconds",
            "Age of the oldest row of an answer, by view; rows that are not there have none.",
            ["view"],
            _AGE_BUCKETS,
        )
        self._values = self._counter(
            "values", "Values answered, by feature service and status.", ["feature_service", "status"]
        )
        self._degraded = self._counter(
            "degraded_answers",
            "Answers made of rows known earlier, since the online store could not be asked.",
            ["feature_service"],
        )
        self._refusals = self._counter(
            "refusals",
            "Questions refused, by method and code of the error; of a stream, each refused question of it.",
            ["method", "error"],
        )
        self._pushed = self._counter(
            "pushed_rows",
            "Rows pushed, by source and what became of them: accepted, repeat, or why they were rejected.",
            ["source", "outcome"],
        )
        self._watched = self._counter(
            "watch_answers", "Answers sent to those who watch, signs of life left out.", ["feature_service"]
        )
        self._delays = self._histogram(
            "watch_delay_seconds",
            "Time from the online store's word that a watched row was written to the answer that has it.",
            ["feature_service"],
            _CALL_BUCKETS,
        )
        self._newest = self._gauge(
            "newest_row_timestamp_seconds",
            "Event time of the newest row that was answered, by view: it stands still when a view is fed no more.",
            ["view"],
        )
        self._ttl = self._gauge("view_ttl_seconds", "Age beyond which rows of a view are stale; 0: never.", ["view"])
        self._known_calls: dict[tuple[str, str, str], Any] = {}
        self._services: dict[str, _OfService] = {}
        self._views: dict[str, _OfView] = {}

    def called(self, call: Call, code: str, seconds: float) -> None:
        """Count one call."""
        key = (call.method, call.feature_service, code)
        known = self._known_calls.get(key)
        if known is None:
            labels = {"method": _short(call.method), "feature_service": call.feature_service, "code": code}
            known = self._known_calls[key] = self._calls.labels(**labels)
        known.observe(seconds)
        if call.error:
            self.refused(call.method, call.error)

    def refused(self, method: str, error: str) -> None:
        """Count one refusal by its code."""
        self._refusals.labels(method=_short(method), error=error).inc()

    def served(self, served: Served) -> None:
        """Count the values of one answer, and note how old its rows are."""
        answer, plan = served.answer, served.plan
        service = self._services.get(plan.service.name) or self._service(plan.service.name)
        service.store.observe(served.store_s)
        if served.degraded:
            service.degraded.inc()
        if answer.whole:
            service.values[Status.PRESENT].inc(answer.status.size)
        else:
            for code, count in enumerate(np.bincount(answer.status.ravel()).tolist()):
                if count:
                    service.values[code].inc(count)
        for view in plan.views:
            ages = answer.age_us[view.name]
            if len(ages) == 1:
                oldest = newest = int(ages[0])
            elif len(ages):
                oldest, newest = int(ages.max()), int(ages.min())
                if newest == UNKNOWN_AGE_US < oldest:
                    newest = int(ages[ages != UNKNOWN_AGE_US].min())
            else:
                continue
            if oldest != UNKNOWN_AGE_US:
                self._aged(view, oldest, served.at_us - newest)

    def pushed(self, pushed: Pushed) -> None:
        """Count the rows of one push by what became of them."""
        outcomes = {**pushed.rejected, "repeat" if pushed.repeat else "accepted": pushed.accepted}
        for outcome, count in outcomes.items():
            self._pushed.labels(source=pushed.source, outcome=outcome).inc(count)

    def watched(self, service: str, delay_s: float | None) -> None:
        """Count one answer to somebody who watches, and how long its change had waited, if that was told."""
        self._watched.labels(feature_service=service).inc()
        if delay_s is not None:
            self._delays.labels(feature_service=service).observe(delay_s)

    def _aged(self, view: View, oldest_us: int, newest_us: int) -> None:
        known = self._views.get(view.name)
        if known is None:
            age, newest = self._ages.labels(view=view.name), self._newest.labels(view=view.name)
            known = self._views[view.name] = _OfView(age, newest, ttl_us=-1)
        known.age.observe(oldest_us / 1e6)
        if newest_us > known.newest_us:
            known.newest_us = newest_us
            known.newest.set(newest_us / 1e6)
        if view.ttl_us != known.ttl_us:  # a new definition of the view
            known.ttl_us = view.ttl_us
            self._ttl.labels(view=view.name).set(view.ttl_us / 1e6)

    def _service(self, name: str) -> _OfService:
        """Begin to count for a service: every status from 0 on, so that the first of a kind shows as an increase."""
        values = tuple(self._values.labels(feature_service=name, status=status) for status in _NAMES)
        degraded = self._degraded.labels(feature_service=name)
        known = _OfService(values, degraded, self._reads.labels(feature_service=name))
        self._services[name] = known
        return known

    def _histogram(self, name: str, says: str, labels: list[str], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"lineshaft_{name}", says, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, says: str, labels: list[str]) -> Counter:
        return Counter(f"lineshaft_{name}", says, labels, registry=self.registry)

    def _gauge(self, name: str, says: str, labels: list[str]) -> Gauge:
        return Gauge(f"lineshaft_{name}", says, labels, registry=self.registry)


def _short(method: str) -> str:
    return method.rpartition("/")[2]


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
