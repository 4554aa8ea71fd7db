"""The primary fails and sentinels name another: readers and writers follow, and what is old says so."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.clock import SystemClock
from lineshaft.drills.fleets import Watched, until, watched
from lineshaft.errors import LineshaftError, UnavailableError
from lineshaft.ops.rebuild import rebuild
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Found, Wanted

SECOND_US = 1_000_000
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
PUMPS = [f"p{i}" for i in range(8)]
ON_THE_WAY_US = 200_000  # what a loaded machine may take until a reader hears of a write
LONG_S = 5.0


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Watched]:
    """Run a primary, its replica and three sentinels."""
    with watched(tmp_path / "line") as running:
        yield running


def rows(event_us: int) -> pa.Table:
    """Return a row of each pump whose value is its time in seconds plus the pump's number."""
    schema = row_schema(VIEW)
    times, values = [event_us] * len(PUMPS), [event_us / SECOND_US + i for i in range(len(PUMPS))]
    columns = (PUMPS, times, times, values)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


WANTED = [Wanted(view=VIEW, features=("rms",), keys=pa.table({"asset_id": PUMPS}))]


def times_of(store: RedisOnlineStore, *, at_once: bool = False) -> set[int]:
    """Return the event times that a store answers with; at once: in the first answer that comes so."""
    found: list[Sequence[Found]] = []

    def answered() -> bool:
        answer = store.read_at_once(WANTED) if at_once else store.read(WANTED)
        found.extend([] if answer is None else [answer])
        return bool(found)

    until(answered, what="an answer")
    return set(found[0][0].rows["event_time"].cast(pa.int64()).to_pylist())


def steady(work: Callable[[], None], *, every_s: float) -> Callable[[], None]:
    """Do something again and again; return what ends it."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every_s):
            with suppress(UnavailableError):
                work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()

    return end


@dataclass(slots=True)
class Load:
    """A writer who notes what was acknowledged, and a caller who notes what he was told."""

    writer: RedisOnlineStore
    client: Client
    acknowledged: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seen: list[tuple[int, bool, int]] = field(default_factory=list)
    """When it was asked, whether the answer was degraded, the oldest row's time; all in microseconds."""
    wrong: int = 0

    def write(self) -> None:
        """Write the present's rows."""
        now_us = SystemClock().now_us()
        self.writer.write(VIEW, rows(now_us))
        self.acknowledged.append(now_us)

    def call(self) -> None:
        """Ask for all pumps, and check each value against its age."""
        asked_us = SystemClock().now_us()
        try:
            frame = self.client.features("health", asset_id=PUMPS, timeout_s=1.0)
        except LineshaftError as error:
            self.refused.append(error.what)
            return
        event_us = frame.served_at_us - frame.ages["pumps"]
        self.wrong += sum(
            value != time_us / SECOND_US + i
            for i, (value, time_us) in enumerate(zip(frame.table["pumps__rms"].to_pylist(), event_us, strict=True))
        )
        self.seen.append((asked_us, frame.degraded, int(event_us.min())))


@pytest.fixture
def load(line: Watched) -> Iterator[Load]:
    """Serve from the primary, and write and call a hundred times a second."""
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)), refresh_s=3600.0)
    online = RedisOnlineStore(line.url, project="dev", timeout_s=0.05)
    handlers = Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=online, clock=SystemClock()),
        training=TrainingSetHandler(plans=plans, offline=MemoryOfflineStore()),
    )
    writer = RedisOnlineStore(line.url, project="dev", write_timeout_s=0.5, near_rows=0)
    with background_server(handlers) as address, Client(address) as client:
        load = Load(writer=writer, client=client)
        load.write()
        load.call()
        ends = [steady(load.write, every_s=0.01), steady(load.call, every_s=0.01)]
        yield load
        for end in ends:
            end()
    writer.close()
    online.close()


def test_a_killed_primary_is_followed_and_nothing_old_is_called_fresh(line: Watched, load: Load) -> None:
    """Under load: no call fails, no value is wrong, and what is not marked degraded is what was last acknowledged."""
    time.sleep(0.5)
    dead, killed_us = line.primary(), SystemClock().now_us()
    line.fleet.send(dead, signal.SIGKILL)
    until(lambda: line.primary() != dead, what="a new primary")
    until(lambda: load.acknowledged[-1] > killed_us + SECOND_US // 2, what="a write after the failover")
    back_us = load.acknowledged[-1]
    until(lambda: not load.seen[-1][1] and load.seen[-1][2] >= back_us, what="fresh again", within_s=2.0)

    lost_us = ON_THE_WAY_US  # of the writes just before the end, which the replica may not have had yet
    before = [at_us for at_us in load.acknowledged if at_us < killed_us]
    for asked_us, degraded, oldest_us in load.seen:
        known = [at_us for at_us in load.acknowledged if at_us < asked_us - ON_THE_WAY_US]
        settled = [at_us for at_us in known if not killed_us - lost_us < at_us <= killed_us]
        assert degraded or not settled or oldest_us >= settled[-1]
    assert (load.wrong, load.refused) == (0, [])
    assert any(degraded for _, degraded, _ in load.seen)
    assert len(before) > 10


def test_a_frozen_primary_that_wakes_up_is_not_believed(line: Watched) -> None:
    """It took no part in the vote and still thinks it is the primary: neither readers nor writers go back to it."""
    reader = RedisOnlineStore(line.url, project="dev", timeout_s=1.0)
    writer = RedisOnlineStore(line.url, project="dev", write_timeout_s=2.0, near_rows=0)
    writer.write(VIEW, rows(1 * SECOND_US))
    assert times_of(reader, at_once=True) == times_of(reader) == {1 * SECOND_US}
    until(line.in_step, what="the replica follows")
    frozen = line.primary()
    line.fleet.send(frozen, signal.SIGSTOP)
    until(lambda: line.primary() != frozen, what="a new primary")

    def newer() -> bool:
        return writer.write(VIEW, rows(2 * SECOND_US)).kept == len(PUMPS)

    until(newer, what="a write to the new primary")
    line.fleet.send(frozen, signal.SIGCONT)

    assert line.fleet.ask(frozen, "ROLE")[0] == b"master"  # it does not know better yet
    until(lambda: times_of(reader) == {2 * SECOND_US}, what="the reader hears of the vote")
    assert times_of(reader, at_once=True) == {2 * SECOND_US}
    writer.write(VIEW, rows(3 * SECOND_US))
    assert times_of(reader) == {3 * SECOND_US}
    reader.close()
    writer.close()


def test_rows_held_near_the_reader_are_read_again_from_the_new_primary(line: Watched) -> None:
    """After a planned failover nothing of the old connection counts as fresh: a change on the new one is seen."""
    reader = RedisOnlineStore(line.url, project="dev")
    writer = RedisOnlineStore(line.url, project="dev", near_rows=0)
    writer.write(VIEW, rows(1 * SECOND_US))
    assert times_of(reader, at_once=True) == {1 * SECOND_US}
    until(line.in_step, what="the replica follows")
    before = line.primary()

    line.fleet.ask(line.sentinels[0], "SENTINEL", "FAILOVER", line.name)
    until(lambda: line.primary() != before, what="the planned failover")

    def followed() -> bool:
        writer.write(VIEW, rows(2 * SECOND_US))  # again: the old primary may take one before it is told, and lose it
        return times_of(reader, at_once=True) == {2 * SECOND_US}

    until(followed, what="the new row")
    reader.close()
    writer.close()


def test_rebuilding_restores_what_a_failover_lost_byte_for_byte(line: Watched) -> None:
    """A primary that dies with writes its replica never had: rebuilt from offline, every byte is there again."""
    store = RedisOnlineStore(line.url, project="dev", timeout_s=0.5, near_rows=0)
    offline = MemoryOfflineStore()
    for number in (1, 2):
        offline.write_rows(VIEW, rows(number * SECOND_US), batch=str(number))
    store.write(VIEW, rows(1 * SECOND_US))
    until(line.in_step, what="the replica follows")
    primary, replica = line.primary(), line.replica()
    line.fleet.send(replica, signal.SIGSTOP)
    line.fleet.ask(primary, "CLIENT", "KILL", "TYPE", "replica")  # else the bytes wait for it in the kernel
    store.write(VIEW, rows(2 * SECOND_US))
    whole = store.digest(VIEW)
    line.fleet.send(primary, signal.SIGKILL)
    line.fleet.send(replica, signal.SIGCONT)
    until(lambda: line.primary() == replica and times_of(store), what="a new primary")
    lost = times_of(store)

    (done,) = rebuild([VIEW], offline, store)

    assert lost == {1 * SECOND_US}
    assert (done.found, store.digest(VIEW)) == ("other bytes", whole)
    store.close()
