"""Watches whose server hangs or stops, whose store is lost, whose reader is slow, over real sockets."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lineshaft.clock import SystemClock
from lineshaft.errors import UnavailableError
from lineshaft.serving.client import Client
from lineshaft.serving.frames import FeatureFrame
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.online_redis import RedisOnlineStore

RMS = "pumps__rms"
MOST_UNDER_WAY = 4 << 20
"""Bytes that gRPC may hold for one reader between the two."""


def values(frame: FeatureFrame, column: str = RMS) -> list[Any]:
    """Return the values of a column."""
    found: list[Any] = frame.table[column].to_pylist()
    return found


class StuckClock:
    """A clock that stands in the way of whoever asks, once it is told to: so does a server that hangs."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()

    def now_us(self) -> int:
        """Return the time, when that is possible."""
        self.free.wait(10.0)
        return SystemClock().now_us()


def test_a_server_that_falls_silent_is_noticed(place_of: Any) -> None:
    """One that hangs gives no signs of life: whoever waits is told so, after three heartbeats."""
    clock = StuckClock()
    with ExitStack() as stack:
        place = place_of(stack, MemoryOnlineStore(), None, clock)
        client = stack.enter_context(Client(place.address))
        answers = client.watch("pumps", asset_id=["p0"], heartbeat_s=0.2)
        next(answers)
        clock.free.clear()
        start = time.monotonic()
        with pytest.raises(UnavailableError) as lost:
            next(answers)
        took = time.monotonic() - start
        clock.free.set()

    assert lost.value.fix
    assert 0.5 < took < 3.0


def test_a_reader_may_take_its_time_with_an_answer(place: Any) -> None:
    """Longer than any silence: it finds the newest then, and little was piled up for it meanwhile."""
    assets = [f"p{i}" for i in range(1000)]
    with Client(place.address) as client:
        answers = client.watch("pumps", asset_id=assets, min_interval_s=0.001, heartbeat_s=0.1)
        next(answers)
        sent = 1000
        for i in range(sent):
            place.write("pumps", float(i + 1), "p0")
        seen: list[float] = []
        while not seen or seen[-1] != float(sent):
            seen.append(values(next(answers))[0])

    assert seen == sorted(seen)
    assert len(seen) < MOST_UNDER_WAY / (2 * 8 * len(assets)) < sent / 2


def test_a_store_that_is_lost_is_told_and_so_is_its_return(tmp_path: Path, place_of: Any, watched: Any) -> None:
    """What was known comes again, called degraded; then fresh rows, and changes are told as before."""
    with ExitStack() as stack:
        valkey = stack.enter_context(EmbeddedValkey(tmp_path / "online", durable=True))
        online, job = (RedisOnlineStore(valkey.url, project="dev", timeout_s=0.25) for _ in range(2))
        place = place_of(stack, online, job)
        place.write("pumps", 1.0, "p0")
        reader = watched(at=place)
        assert not reader.until(1).degraded
        place.until(lambda: place.told() == 1)

        os.kill(valkey.pid or 0, signal.SIGSTOP)
        lost = reader.until(2)
        os.kill(valkey.pid or 0, signal.SIGCONT)
        found = reader.until(3)
        place.until(lambda: place.told() == 1)
        start = time.monotonic()
        place.write("pumps", 2.0, "p0")
        fresh = reader.until(4)
        took = time.monotonic() - start
        online.close()
        job.close()

    assert (lost.degraded, found.degraded, fresh.degraded) == (True, False, False)
    assert values(lost) == values(found) == [1.0]
    assert values(fresh) == [2.0]
    assert took < 0.5


def test_a_store_that_tells_nothing_is_looked_at(place_of: Any) -> None:
    """Without any word of it, a change comes within a second."""
    with ExitStack() as stack:
        store = MemoryOnlineStore()
        place = place_of(stack, store, store)
        client = stack.enter_context(Client(place.address))
        answers = client.watch("pumps", asset_id=["p0"])
        assert values(next(answers)) == [None]
        place.write("pumps", 4.0, "p0")
        start = time.monotonic()

        assert values(next(answers)) == [4.0]
        assert time.monotonic() - start < 1.0


def test_a_watch_outlives_its_server(place_of: Any) -> None:
    """One that stops ends its watches at once, not at the end of its grace; the next on the port goes on with them."""
    store = MemoryOnlineStore()
    with ExitStack() as later:
        with ExitStack() as now:
            first = place_of(now, store, store, shared=True)
            client = later.enter_context(Client(first.address))
            answers = client.watch("pumps", asset_id=["p0"])
            assert values(next(answers)) == [None]
            place_of(later, store, store, shared=True, address=first.address)
            start = time.monotonic()
        took = time.monotonic() - start
        first.write("pumps", 8.0, "p0")

        assert values(next(answers)) == [8.0]
    with pytest.raises(UnavailableError) as ended:
        next(answers)
    assert took < 3.0
    assert ended.value.fix
