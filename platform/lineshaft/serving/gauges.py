"""What a server is, read when Prometheus looks and costing nothing until then: limits, logs, the store, the process."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from lineshaft import __version__
from lineshaft.registry.records import Slot
from lineshaft.serving.breaker import Breaker
from lineshaft.serving.change_board import ChangeBoard
from lineshaft.serving.failures import Failed
from lineshaft.serving.predict import Predictor
from lineshaft.serving.write_behind import WriteBehind
from lineshaft.stores.ports import Counting

_STATES = {"closed": 0, "half-open": 1, "open": 2}
_CONTROL_GROUPS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class Gauges(Collector):
    """A registry whose numbers of this kind are asked for at each look."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._limits: dict[str, tuple[Callable[[], int], int]] = {}
        self._waiting: dict[str, ThreadPoolExecutor] = {}
        self._logs: list[WriteBehind[Any]] = []
        self._breaker: Breaker | None = None
        self._board: ChangeBoard | None = None
        self._store: object = None
        self._predictor: Predictor | None = None
        self._memory_limit = memory_limit_bytes()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def watch(self, breaker: Breaker, store: object) -> None:
        """Show the state of the breaker and, if the store counts them, where rows came from."""
        self._breaker, self._store = breaker, store

    def watch_logs(self, logs: Sequence[WriteBehind[Any]]) -> None:
        """Show what became of the rows of logs."""
        self._logs.extend(logs)

    def watch_models(self, predictor: Predictor) -> None:
        """Show how often versions failed, and who is stood in for."""
        self._predictor = predictor

    def watch_limit(self, name: str, in_use: Callable[[], int], *, most: int) -> None:
        """Show how much of a limit is in use."""
        self._limits[name] = in_use, most

    def watch_waiting(self, port: str, pool: ThreadPoolExecutor) -> None:
        """Show how many calls that came in by a port wait for a thread."""
        self._waiting[port] = pool

    def watch_watches(self, board: ChangeBoard) -> None:
        """Show how many rows are watched, and whether their changes are told."""
        self._board = board

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is becomes known later."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the numbers as they are now."""
        yield InfoMetricFamily("lineshaft_build", "What runs here.", value=_build())
        limit = GaugeMetricFamily("lineshaft_memory_limit_bytes", "Memory that this process may use.")
        limit.add_metric([], self._memory_limit)
        yield limit
        yield from self._limits_now()
        yield from self._logs_now()
        yield from self._store_now()
        yield from self._models_now()
        if self._board is not None:
            yield GaugeMetricFamily("lineshaft_watched_rows", "Rows that streams watch now.", value=self._board.rows)
            says = "Whether the online store tells of changed rows; without that, watched rows are looked at often."
            yield GaugeMetricFamily("lineshaft_changes_told", says, value=self._board.told)

    def _limits_now(self) -> Iterable[Metric]:
        in_use = GaugeMetricFamily("lineshaft_in_use", "How much of a limit is in use now.", labels=["limit"])
        most = GaugeMetricFamily("lineshaft_limit", "The limit; what is beyond is refused.", labels=["limit"])
        for name, (now, limit) in self._limits.items():
            in_use.add_metric([name], now())
            most.add_metric([name], limit)
        says = "Calls that wait for a thread, by the port they came in."
        waiting = GaugeMetricFamily("lineshaft_waiting_calls", says, labels=["port"])
        for port, pool in self._waiting.items():
            waiting.add_metric([port], pool._work_queue.qsize())  # noqa: SLF001 - there is no public way to ask
        return in_use, most, waiting

    def _logs_now(self) -> Iterable[Metric]:
        says = "Rows of answers and predictions since the start: written, or lost because they could not be."
        rows = CounterMetricFamily("lineshaft_log_rows", says, labels=["log", "outcome"])
        held = GaugeMetricFamily("lineshaft_log_held_rows", "Rows of logs that are not written yet.", labels=["log"])
        for log in self._logs:
            rows.add_metric([log.name, "written"], log.written)
            rows.add_metric([log.name, "lost"], log.lost)
            held.add_metric([log.name], log.held)
        return rows, held

    def _store_now(self) -> Iterable[Metric]:
        if self._breaker is not None:
            says = "Whether the online store is asked: 0 yes, 1 by one call that tries, 2 no."
            yield GaugeMetricFamily("lineshaft_online_store_breaker", says, value=_STATES[self._breaker.state])
        if isinstance(self._store, Counting):
            says = "Rows read since the start: from this process's memory, or from the server."
            rows = CounterMetricFamily("lineshaft_rows_read", says, labels=["source"])
            for source, count in zip(("memory", "server"), self._store.rows_read(), strict=True):
                rows.add_metric([source], count)
            yield rows

    def _models_now(self) -> Iterable[Metric]:
        """Yield the numbers of models; of those that stand from 0 on, so that a first failure shows as an increase."""
        if self._predictor is None:
            return
        says = "Questions that a version failed at, by the slot it had and how: crash, no_number or inputs."
        failures = CounterMetricFamily("lineshaft_model_failures", says, labels=["model", "slot", "kind"])
        says = "Predictions that an earlier champion made because the champion could not."
        replaced = CounterMetricFamily("lineshaft_stand_in_predictions", says, labels=["model"])
        says = (
            "Whether the champion cannot be used, and an earlier one answers: damaged, endless, or failing its proof."
        )
        passed_over = GaugeMetricFamily("lineshaft_champion_passed_over", says, labels=["model"])
        standing, told = self._predictor.champions.standing(), self._predictor.failures
        counts = {(model, slot, kind): 0 for model in standing for slot in Slot for kind in Failed}
        for failure, count in told.counts().items():
            place = failure.model, failure.slot, failure.kind
            counts[place] = counts.get(place, 0) + count
        for (model, slot, kind), count in counts.items():
            failures.add_metric([model, slot, kind], count)
        for model, one in standing.items():
            replaced.add_metric([model], told.replaced[model])
            passed_over.add_metric([model], bool(one.passed_over))
        yield from (failures, replaced, passed_over)


def memory_limit_bytes(files: Sequence[Path] = _CONTROL_GROUPS) -> int:
    """Return the memory that this process may use: its control group's limit, or all that the machine has."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in files:
        try:
            return min(whole, int(file.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return whole


def _build() -> dict[str, str]:
    return {"version": __version__, "python": platform.python_version(), "grpc": grpc.__version__}
