"""Rows that stand: known to be fresh without asking, for as long as the server has spoken within the lease."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lineshaft.stores.near_cache import NearCache
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import codec_of
from lineshaft.stores.redis_link import RedisLink, Session

LONG_S = 10.0


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
    kind: type[RedisLink], url: str, raw: Any, store: RedisOnlineStore, pumps: Any
) -> None:
    """Far longer than the lease, rows are answered from memory without a question, though the attendant was held up."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(kind(url), lease_s=1.0)
    pumps.read(near, "a")
    before = pumps.gets(raw), pumps.pings(raw)

    for _ in range(60):
        near.attend()
        time.sleep(0.02)
        asked = pumps.pings(raw)
        assert pumps.read(near, "a") == [1.0]
        assert pumps.pings(raw) == asked

    near.forget()
    assert pumps.gets(raw) == before[0]
    assert pumps.pings(raw) > before[1]


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


def test_a_row_that_changes_while_others_are_fetched_does_not_stand(
    url: str, store: RedisOnlineStore, pumps: Any
) -> None:
    """Told of the change before the others came, the reader may answer the row of before once, and never again."""
    store.write(pumps.view, pumps.rows("a"))
    store.write(pumps.view, pumps.rows("b"))
    link = Overtaken(url, lambda: None)
    near = NearCache(link, lease_s=LONG_S)
    pumps.read(near, "a")

    def write_again() -> None:
        store.write(pumps.view, pumps.rows("a", event=2, rms=2.0))

    link.write = write_again
    pumps.read(near, "a", "b")
    link.write = lambda: None
    again = pumps.read(near, "a", "b"), pumps.read(near, "a")
    near.forget()

    assert again == ([2.0, 1.0], [2.0])


def test_nobody_attends_to_what_nobody_reads(url: str, raw: Any, pumps: Any) -> None:
    """Before the first read there is nothing to attend to."""
    before = pumps.pings(raw)

    NearCache(RedisLink(url)).attend()

    assert pumps.pings(raw) == before


def test_what_stands_is_answered_without_waiting_while_the_lease_lasts(
    url: str, raw: Any, store: RedisOnlineStore, pumps: Any
) -> None:
    """A server that does not answer holds nobody up, be it held rows or others; after the lease nothing stands."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url), lease_s=1.0)
    before_any = near.standing(pumps.ask("a"))
    pumps.read(near, "a")
    raw.execute_command("CLIENT", "PAUSE", "1500", "ALL")
    start = time.monotonic()

    held, other = near.standing(pumps.ask("a")), near.standing(pumps.ask("b"))
    took_s = time.monotonic() - start
    assert pumps.until(lambda: near.standing(pumps.ask("a")) is None)
    ended_s = time.monotonic() - start

    assert before_any is None
    assert held is not None
    assert held[0].rows["rms"].to_pylist() == [1.0]
    assert other is None
    assert took_s < 0.5 < ended_s < 1.4


def test_who_has_just_written_is_not_told_what_stood_before(url: str, store: RedisOnlineStore, pumps: Any) -> None:
    """A doubt ends what stands, until the server has spoken."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url), lease_s=LONG_S)
    pumps.read(near, "a")

    near.doubt()
    doubted = near.standing(pumps.ask("a"))
    again = pumps.read(near, "a")

    assert doubted is None
    assert again == [1.0]
    assert near.standing(pumps.ask("a")) is not None


@pytest.mark.parametrize(("rms", "asked_again"), [(1.0, 0), (2.0, 1)])
def test_rows_read_over_another_connection_end_only_what_they_differ_from(
    url: str, raw: Any, store: RedisOnlineStore, rms: float, asked_again: int, pumps: Any
) -> None:
    """The same row read elsewhere leaves the held one fresh; another one does not."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url), lease_s=LONG_S)
    pumps.read(near, "a")
    elsewhere = next(codec_of(pumps.view).pack(pumps.rows("a", rms=rms), batch=1))
    before = pumps.gets(raw)

    near.remember(pumps.ask("a")[0], [value for _, value in elsewhere.rows()])
    pumps.read(near, "a")

    assert pumps.gets(raw) == before + asked_again
