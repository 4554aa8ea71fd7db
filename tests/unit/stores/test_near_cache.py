"""Rows held near the reader: asked for once, never older than the reader's last exchange with the server."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.errors import UnavailableError
from lineshaft.specs import Status
from lineshaft.stores.near_cache import Ask, NearCache
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import codec_of
from lineshaft.stores.redis_link import RedisLink, Session

LONG_S = 10.0


def test_a_row_is_asked_for_once(url: str, raw: Any, store: RedisOnlineStore, pumps: Any) -> None:
    """What did not change is not read again, be it there or not."""
    store.write(pumps.view, pumps.rows("a", "b"))
    near = NearCache(RedisLink(url))
    first = pumps.read(near, "a", "b", "nobody")
    before = pumps.gets(raw)

    again = [pumps.read(near, "b", "nobody", "a") for _ in range(20)]

    assert first == [1.0, 1.0, None]
    assert again == [[1.0, None, 1.0]] * 20
    assert pumps.gets(raw) == before


def test_only_what_is_missing_is_asked_for(url: str, raw: Any, store: RedisOnlineStore, pumps: Any) -> None:
    """Held and new rows are answered together, each in its place."""
    store.write(pumps.view, pumps.rows("a"))
    store.write(pumps.view, pumps.rows("b", rms=2.0))
    near = NearCache(RedisLink(url))
    pumps.read(near, "a")
    before = pumps.gets(raw)

    mixed = pumps.read(near, "b", "a", "b", "c")

    assert mixed == [2.0, 1.0, 2.0, None]
    assert pumps.gets(raw) == before + 1


def test_what_others_write_is_seen_and_never_goes_back(url: str, store: RedisOnlineStore, pumps: Any) -> None:
    """After a write by another connection the new row comes within a moment, and no older one after it."""
    near = NearCache(RedisLink(url))
    seen: list[float] = []

    for step in range(1, 200):
        store.write(pumps.view, pumps.rows("a", event=step, rms=float(step)))
        seen += [pumps.read(near, "a")[0] or 0.0 for _ in range(random.Random(step).randint(0, 3))]

    assert seen == sorted(seen)
    assert pumps.until(lambda: pumps.read(near, "a") == [199.0])


def test_a_writer_sees_what_it_wrote(url: str, pumps: Any) -> None:
    """Through one store, a row that was written is what is read next, each time."""
    store = RedisOnlineStore(url, project="own", timeout_s=LONG_S)
    near = NearCache(RedisLink(url))
    codec = codec_of(pumps.view)
    question = [Ask(codec=codec, prefix=codec.prefix("own"), keys=[b"a"], features=("rms",))]

    for step in range(1, 200):
        store.write(pumps.view, pumps.rows("a", event=step, rms=float(step)))
        near.doubt()
        found = near.read(question, budget_s=LONG_S)
        assert found is not None
        assert found[0].rows["rms"].to_pylist() == [float(step)]


def test_an_emptied_server_is_noticed(url: str, raw: Any, store: RedisOnlineStore, pumps: Any) -> None:
    """FLUSHALL takes every held row away."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url))
    pumps.read(near, "a")

    raw.flushall()

    assert pumps.until(lambda: pumps.read(near, "a") == [None])


def test_a_removed_row_is_noticed(url: str, store: RedisOnlineStore, pumps: Any) -> None:
    """A row taken back by another connection is not answered any more."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url))
    pumps.read(near, "a")

    store.remove(pumps.view, pa.table({"asset_id": ["a"]}))

    assert pumps.until(lambda: pumps.read(near, "a") == [None])


def test_nothing_is_trusted_across_a_lost_connection(url: str, raw: Any, store: RedisOnlineStore, pumps: Any) -> None:
    """Rows that changed while nobody listened are read anew."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url))
    pumps.read(near, "a")
    raw.client_kill_filter(_type="normal", skipme=True)
    RedisOnlineStore(url, project="dev").write(pumps.view, pumps.rows("a", event=2, rms=2.0))

    with pytest.raises(UnavailableError):
        near.read(pumps.ask("a"), budget_s=LONG_S)

    assert pumps.read(near, "a") == [2.0]


def test_a_silent_server_is_asked_for_a_sign_of_life(url: str, raw: Any, store: RedisOnlineStore, pumps: Any) -> None:
    """Held rows are not answered as fresh for longer than the lease when the server hangs."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url), lease_s=0.01)
    pumps.read(near, "a")
    raw.execute_command("CLIENT", "PAUSE", "200")
    time.sleep(0.02)

    with pytest.raises(UnavailableError):
        near.read(pumps.ask("a"), budget_s=0.03)

    time.sleep(0.3)
    assert pumps.read(near, "a") == [1.0]


def test_a_slow_reply_costs_its_reader_and_nobody_after(
    url: str, raw: Any, store: RedisOnlineStore, pumps: Any
) -> None:
    """A reply that comes too late is thrown away when it comes; what is held stays held, and nothing is mistaken."""
    store.write(pumps.view, pumps.rows("a"))
    store.write(pumps.view, pumps.rows("b", rms=2.0))
    near = NearCache(RedisLink(url), lease_s=LONG_S)
    pumps.read(near, "a")
    raw.execute_command("CLIENT", "PAUSE", "100")

    with pytest.raises(UnavailableError):
        near.read(pumps.ask("b"), budget_s=0.02)
    held, other = pumps.read(near, "a"), near.read(pumps.ask("b"), budget_s=LONG_S)
    time.sleep(0.2)
    before = pumps.gets(raw)

    assert (held, other) == ([1.0], None)
    assert pumps.read(near, "a", "b") == [1.0, 2.0]
    assert pumps.gets(raw) == before + 1
    assert pumps.read(near, "b", "a") == [2.0, 1.0]
    assert pumps.gets(raw) == before + 1


def test_a_corrupt_row_is_not_held(url: str, store: RedisOnlineStore, pumps: Any) -> None:
    """A bad value is CORRUPT for as long as it is there, and no longer."""
    store.write(pumps.view, pumps.rows("a"))
    store.overwrite(pumps.view, pa.table({"asset_id": ["a"]}), b"no row at all")
    near = NearCache(RedisLink(url))
    spoilt = near.read(pumps.ask("a"), budget_s=LONG_S)
    store.write(pumps.view, pumps.rows("a", event=5, rms=5.0))

    assert spoilt is not None
    assert spoilt[0].status.tolist() == [Status.CORRUPT]
    assert pumps.until(lambda: pumps.read(near, "a") == [5.0])


def test_a_server_that_tracks_no_keys_is_read_the_plain_way(
    url: str, raw: Any, store: RedisOnlineStore, pumps: Any
) -> None:
    """Where CLIENT TRACKING is refused there is no cache, and the store answers all the same."""
    store.write(pumps.view, pumps.rows("a"))
    raw.execute_command("ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-client|tracking")
    link = RedisLink(url + "?username=plain&password=secret")

    assert NearCache(link).read(pumps.ask("a"), budget_s=LONG_S) is None

    raw.execute_command("ACL", "DELUSER", "plain")


def test_a_second_reader_does_not_wait(url: str, store: RedisOnlineStore, pumps: Any) -> None:
    """While one thread reads through the cache another is told to read the plain way."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url))

    with near.in_use():
        second = near.read(pumps.ask("a"), budget_s=LONG_S)

    assert second is None
    assert pumps.read(near, "a") == [1.0]


@pytest.fixture
def quiet(raises: type[Exception]) -> Iterator[Any]:
    """Yield a connection on which nothing has come, though its socket looks as if: an encrypted one may."""
    ours, theirs = socket.socketpair()

    class Quiet(socket.socket):
        def recv(self, *_size: Any) -> bytes:
            raise raises

    theirs.send(b"half a record")
    with Quiet(fileno=ours.detach()) as held, theirs:
        yield SimpleNamespace(_sock=held)


@pytest.mark.parametrize("raises", [BlockingIOError, ssl.SSLWantReadError])
def test_nothing_to_hear_is_no_fault_plain_or_encrypted(quiet: Any) -> None:
    """Looking for messages where there are none returns none, over TLS too."""
    assert Session(quiet).poll() == []


def test_a_write_between_looking_and_asking_is_not_forgotten(
    url: str, raw: Any, store: RedisOnlineStore, pumps: Any
) -> None:
    """However often others write meanwhile, the next read asks for a sign of life sent after the last of them."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url))
    pumps.read(near, "a")
    before = pumps.pings(raw)

    for _ in range(3):
        near.doubt()
        near.doubt()
        pumps.read(near, "a")
    pumps.read(near, "a")

    assert pumps.pings(raw) == before + 3


def test_views_not_asked_for_make_room(url: str, store: RedisOnlineStore, pumps: Any) -> None:
    """More view versions than may be held: all are answered, and those asked for last are held."""
    store.write(pumps.view, pumps.rows("a"))
    near = NearCache(RedisLink(url))
    pumps.read(near, "a")
    codec = codec_of(pumps.view)

    for number in range(100):
        near.read([Ask(codec=codec, prefix=b"%08d" % number, keys=[b"a"], features=("rms",))], budget_s=LONG_S)

    assert near.views <= 64
    assert pumps.read(near, "a") == [1.0]
