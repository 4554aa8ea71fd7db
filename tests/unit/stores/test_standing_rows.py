"""Rows that stand: known to be fresh without asking, for as long as the server has spoken within the lease."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.near_cache import Ask, NearCache
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import codec_of
from lineshaft.stores.redis_link import RedisLink, Session

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="starts", dtype="int64")),
)
LONG_S = 10.0


@pytest.fixture
def store(url: str, raw: Any) -> RedisOnlineStore:
    """Return a store that writes what others read."""
    assert raw.dbsize() == 0
    return RedisOnlineStore(url, project="dev", timeout_s=LONG_S)


def rows(*assets: str, event: int = 1, rms: float = 1.0) -> pa.Table:
    """Return a row for each asset."""
    n = len(assets)
    columns = (list(assets), [event] * n, [event] * n, [rms] * n, [event] * n)
    schema = row_schema(VIEW)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def ask(*assets: str) -> list[Ask]:
    """Return the question for these assets."""
    codec = codec_of(VIEW)
    keys = codec.keys.encode(pa.table({"asset_id": list(assets)}))
    return [Ask(codec=codec, prefix=codec.prefix("dev"), keys=keys, features=("rms",))]


def read(near: NearCache, *assets: str) -> list[float | None]:
    """Return what a cache answers for these assets."""
    found = near.read(ask(*assets), budget_s=LONG_S)
    assert found is not None
    answer: list[float | None] = found[0].rows["rms"].to_pylist()
    return answer


def gets(raw: Any) -> int:
    """Return how often the server was asked for rows."""
    stats: dict[str, Any] = raw.info("commandstats")
    return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])


def pings(raw: Any) -> int:
    """Return how often the server was asked for a sign of life."""
    stats: dict[str, Any] = raw.info("commandstats")
    return int(stats.get("cmdstat_ping", {"calls": 0})["calls"])


def until(done: Callable[[], bool], *, within_s: float = 5.0) -> bool:
    """Tell whether something becomes true in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if done():
            return True
    return False


class Sluggish(RedisLink):
    """A link whose reader is held up each time it listens, as a thread is on a busy machine."""

    def connect(self, *given: Any, **named: Any) -> Session:
        """Return a session that takes its time."""
        session = super().connect(*given, **named)
        prompt = session.poll

        def poll() -> list[Any]:
            time.sleep(0.01)
            return prompt()

        session.poll = poll  # type: ignore[method-assign]
        return session


@pytest.mark.parametrize("kind", [RedisLink, Sluggish])
def test_attending_keeps_rows_fresh_and_nobody_waits(
    kind: type[RedisLink], url: str, raw: Any, store: RedisOnlineStore
) -> None:
    """Far longer than the lease, rows are answered from memory without a question, though the attendant was held up."""
    store.write(VIEW, rows("a"))
    near = NearCache(kind(url), lease_s=1.0)
    read(near, "a")
    before = gets(raw), pings(raw)

    for _ in range(60):
        near.attend()
        time.sleep(0.02)
        asked = pings(raw)
        assert read(near, "a") == [1.0]
        assert pings(raw) == asked

    near.forget()
    assert gets(raw) == before[0]
    assert pings(raw) > before[1]


class Overtaken(RedisLink):
    """A link on which something is written each time just before the server is asked for rows."""

    def __init__(self, url: str, write: Callable[[], None]) -> None:
        super().__init__(url)
        self.write = write

    def connect(self, *given: Any, **named: Any) -> Session:
        """Return a session that is overtaken."""
        session = super().connect(*given, **named)
        send = session.send

        def overtaken(*command: Any) -> None:
            if command[0] == "MGET":
                self.write()
            send(*command)

        session.send = overtaken  # type: ignore[method-assign]
        return session


def test_a_row_that_changes_while_others_are_fetched_does_not_stand(url: str, store: RedisOnlineStore) -> None:
    """Told of the change before the others came, the reader may answer the row of before once, and never again."""
    store.write(VIEW, rows("a"))
    store.write(VIEW, rows("b"))
    link = Overtaken(url, lambda: None)
    near = NearCache(link, lease_s=LONG_S)
    read(near, "a")

    def write_again() -> None:
        store.write(VIEW, rows("a", event=2, rms=2.0))

    link.write = write_again
    read(near, "a", "b")
    link.write = lambda: None
    again = read(near, "a", "b"), read(near, "a")
    near.forget()

    assert again == ([2.0, 1.0], [2.0])


def test_nobody_attends_to_what_nobody_reads(url: str, raw: Any) -> None:
    """Before the first read there is nothing to attend to."""
    before = pings(raw)

    NearCache(RedisLink(url)).attend()

    assert pings(raw) == before


def test_what_stands_is_answered_without_waiting_while_the_lease_lasts(
    url: str, raw: Any, store: RedisOnlineStore
) -> None:
    """A server that does not answer holds nobody up, be it held rows or others; after the lease nothing stands."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url), lease_s=1.0)
    before_any = near.standing(ask("a"))
    read(near, "a")
    raw.execute_command("CLIENT", "PAUSE", "1500", "ALL")
    start = time.monotonic()

    held, other = near.standing(ask("a")), near.standing(ask("b"))
    took_s = time.monotonic() - start
    assert until(lambda: near.standing(ask("a")) is None)
    ended_s = time.monotonic() - start

    assert before_any is None
    assert held is not None
    assert held[0].rows["rms"].to_pylist() == [1.0]
    assert other is None
    assert took_s < 0.5 < ended_s < 1.4


def test_who_has_just_written_is_not_told_what_stood_before(url: str, store: RedisOnlineStore) -> None:
    """A doubt ends what stands, until the server has spoken."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url), lease_s=LONG_S)
    read(near, "a")

    near.doubt()
    doubted = near.standing(ask("a"))
    again = read(near, "a")

    assert doubted is None
    assert again == [1.0]
    assert near.standing(ask("a")) is not None


@pytest.mark.parametrize(("rms", "asked_again"), [(1.0, 0), (2.0, 1)])
def test_rows_read_over_another_connection_end_only_what_they_differ_from(
    url: str, raw: Any, store: RedisOnlineStore, rms: float, asked_again: int
) -> None:
    """The same row read elsewhere leaves the held one fresh; another one does not."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url), lease_s=LONG_S)
    read(near, "a")
    elsewhere = next(codec_of(VIEW).pack(rows("a", rms=rms), batch=1))
    before = gets(raw)

    near.remember(ask("a")[0], [value for _, value in elsewhere.rows()])
    read(near, "a")

    assert gets(raw) == before + asked_again
