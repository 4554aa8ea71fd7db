"""Callers at a steady pace, and what each of them saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from lineshaft.drills.plant import MACHINES, SECOND_US, SERVICE, VIEWS, machine
from lineshaft.errors import LineshaftError
from lineshaft.serving.client import Client
from lineshaft.serving.frames import FeatureFrame
from lineshaft.specs import Status

ASKED = 10
"""Machines of one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One call: when it was due (seconds, monotonic), what it took from then on, and what came back."""

    due_s: float
    took_s: float
    error: str = ""
    degraded: bool = False
    oldest_s: float = 0.0
    newest_s: float = 0.0
    corrupt: int = 0
    missing: int = 0
    wrong: int = 0

    @property
    def ended_s(self) -> float:
        """Return when it ended (seconds, monotonic)."""
        return self.due_s + self.took_s


@dataclass(slots=True, kw_only=True)
class Callers:
    """`rate` calls a second for ever, spread over threads and connections.

    A call that is late counts from when it was due: what waits behind a slow call is slow too.
    """

    address: str
    rate: float = 200.0
    threads: int = 16
    connections: int = 4
    timeout_s: float = 1.0
    seen: list[Seen] = field(default_factory=list)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Call until the end."""
        over = threading.Event()
        clients = [Client(self.address, timeout_s=self.timeout_s) for _ in range(self.connections)]
        start_s = time.monotonic()
        threads = [
            threading.Thread(target=self._call, args=(clients[i % len(clients)], start_s + i / self.rate, over, i))
            for i in range(self.threads)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
            for client in clients:
                client.close()

    def warm(self, *, seconds: float, within_s: float = 60.0) -> None:
        """Wait until as many calls have ended as some seconds have on an idle machine, so that all rows were read."""
        end_s = time.monotonic() + within_s
        while len(self.seen) < seconds * self.rate and time.monotonic() < end_s:
            time.sleep(0.05)

    def between(self, start_s: float, end_s: float) -> list[Seen]:
        """Return the calls that were due in a time."""
        return [one for one in list(self.seen) if start_s <= one.due_s < end_s]

    def _call(self, client: Client, due_s: float, over: threading.Event, seed: int) -> None:
        generator = np.random.default_rng(seed)
        while not over.wait(max(due_s - time.monotonic(), 0.0)):
            numbers = generator.choice(MACHINES, ASKED, replace=False)
            self.seen.append(_asked(client, numbers, due_s))
            due_s += self.threads / self.rate


def _asked(client: Client, numbers: np.ndarray, due_s: float) -> Seen:
    try:
        frame = client.features(SERVICE.name, asset_id=[machine(n) for n in numbers])
    except LineshaftError as error:
        return Seen(due_s=due_s, took_s=time.monotonic() - due_s, error=error.what)
    took_s = time.monotonic() - due_s
    corrupt, missing, wrong = 0, 0, 0
    for view in VIEWS:
        column = f"{view.name}__{view.feature_names[-1]}"
        status = frame.statuses[column]
        corrupt += int((status == Status.CORRUPT).sum())
        missing += int(((status != Status.CORRUPT) & (status != Status.PRESENT)).sum())
        event_us = frame.served_at_us - frame.ages[view.name]
        right = frame.table[column].to_numpy() == numbers + event_us / SECOND_US
        wrong += int((~right & (status == Status.PRESENT)).sum())
    oldest_s, newest_s = _span_s(frame)
    return Seen(
        due_s=due_s,
        took_s=took_s,
        degraded=frame.degraded,
        oldest_s=oldest_s,
        newest_s=newest_s,
        corrupt=corrupt,
        missing=missing,
        wrong=wrong,
    )


def _span_s(frame: FeatureFrame) -> tuple[float, float]:
    ages = np.concatenate([frame.ages[view.name] for view in VIEWS]) / SECOND_US
    return float(ages.max()), float(ages.min())
