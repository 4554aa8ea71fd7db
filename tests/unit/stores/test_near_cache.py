"""Rows held near the reader: asked for once, never older than the reader's last exchange with the server."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.errors import UnavailableError
from lineshaft.specs import Feature, Source, Status, View, row_schema
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


def test_a_row_is_asked_for_once(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """What did not change is not read again, be it there or not."""
    store.write(VIEW, rows("a", "b"))
    near = NearCache(RedisLink(url))
    first = read(near, "a", "b", "nobody")
    before = gets(raw)

    again = [read(near, "b", "nobody", "a") for _ in range(20)]

    assert first == [1.0, 1.0, None]
    assert again == [[1.0, None, 1.0]] * 20
    assert gets(raw) == before


def test_only_what_is_missing_is_asked_for(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """Held and new rows are answered together, each in its place."""
    store.write(VIEW, rows("a"))
    store.write(VIEW, rows("b", rms=2.0))
    near = NearCache(RedisLink(url))
    read(near, "a")
    before = gets(raw)

    mixed = read(near, "b", "a", "b", "c")

    assert mixed == [2.0, 1.0, 2.0, None]
    assert gets(raw) == before + 1


def test_what_others_write_is_seen_and_never_goes_back(url: str, store: RedisOnlineStore) -> None:
    """After a write by another connection the new row comes within a moment, and no older one after it."""
    near = NearCache(RedisLink(url))
    seen: list[float] = []

    for step in range(1, 200):
        store.write(VIEW, rows("a", event=step, rms=float(step)))
        seen += [read(near, "a")[0] or 0.0 for _ in range(random.Random(step).randint(0, 3))]

    assert seen == sorted(seen)
    assert until(lambda: read(near, "a") == [199.0])


def test_a_writer_sees_what_it_wrote(url: str) -> None:
    """Through one store, a row that was written is what is read next, each time."""
    store = RedisOnlineStore(url, project="own", timeout_s=LONG_S)
    near = NearCache(RedisLink(url))
    codec = codec_of(VIEW)
    question = [Ask(codec=codec, prefix=codec.prefix("own"), keys=[b"a"], features=("rms",))]

    for step in range(1, 200):
        store.write(VIEW, rows("a", event=step, rms=float(step)))
        near.doubt()
        found = near.read(question, budget_s=LONG_S)
        assert found is not None
        assert found[0].rows["rms"].to_pylist() == [float(step)]


def test_an_emptied_server_is_noticed(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """FLUSHALL takes every held row away."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url))
    read(near, "a")

    raw.flushall()

    assert until(lambda: read(near, "a") == [None])


def test_a_removed_row_is_noticed(url: str, store: RedisOnlineStore) -> None:
    """A row taken back by another connection is not answered any more."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url))
    read(near, "a")

    store.remove(VIEW, pa.table({"asset_id": ["a"]}))

    assert until(lambda: read(near, "a") == [None])


def test_nothing_is_trusted_across_a_lost_connection(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """Rows that changed while nobody listened are read anew."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url))
    read(near, "a")
    raw.client_kill_filter(_type="normal", skipme=True)
    RedisOnlineStore(url, project="dev").write(VIEW, rows("a", event=2, rms=2.0))

    with pytest.raises(UnavailableError):
        near.read(ask("a"), budget_s=LONG_S)

    assert read(near, "a") == [2.0]


def test_a_silent_server_is_asked_for_a_sign_of_life(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """Held rows are not answered as fresh for longer than the lease when the server hangs."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url), lease_s=0.01)
    read(near, "a")
    raw.execute_command("CLIENT", "PAUSE", "200")
    time.sleep(0.02)

    with pytest.raises(UnavailableError):
        near.read(ask("a"), budget_s=0.03)

    time.sleep(0.3)
    assert read(near, "a") == [1.0]


def test_a_slow_reply_costs_its_reader_and_nobody_after(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """A reply that comes too late is thrown away when it comes; what is held stays held, and nothing is mistaken."""
    store.write(VIEW, rows("a"))
    store.write(VIEW, rows("b", rms=2.0))
    near = NearCache(RedisLink(url), lease_s=LONG_S)
    read(near, "a")
    raw.execute_command("CLIENT", "PAUSE", "100")

    with pytest.raises(UnavailableError):
        near.read(ask("b"), budget_s=0.02)
    held, other = read(near, "a"), near.read(ask("b"), budget_s=LONG_S)
    time.sleep(0.2)
    before = gets(raw)

    assert (held, other) == ([1.0], None)
    assert read(near, "a", "b") == [1.0, 2.0]
    assert gets(raw) == before + 1
    assert read(near, "b", "a") == [2.0, 1.0]
    assert gets(raw) == before + 1


def test_a_corrupt_row_is_not_held(url: str, store: RedisOnlineStore) -> None:
    """A bad value is CORRUPT for as long as it is there, and no longer."""
    store.write(VIEW, rows("a"))
    store.overwrite(VIEW, pa.table({"asset_id": ["a"]}), b"no row at all")
    near = NearCache(RedisLink(url))
    spoilt = near.read(ask("a"), budget_s=LONG_S)
    store.write(VIEW, rows("a", event=5, rms=5.0))

    assert spoilt is not None
    assert spoilt[0].status.tolist() == [Status.CORRUPT]
    assert until(lambda: read(near, "a") == [5.0])


def test_a_server_that_tracks_no_keys_is_read_the_plain_way(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """Where CLIENT TRACKING is refused there is no cache, and the store answers all the same."""
    store.write(VIEW, rows("a"))
    raw.execute_command("ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-client|tracking")
    link = RedisLink(url + "?username=plain&password=secret")

    assert NearCache(link).read(ask("a"), budget_s=LONG_S) is None

    raw.execute_command("ACL", "DELUSER", "plain")


def test_a_second_reader_does_not_wait(url: str, store: RedisOnlineStore) -> None:
    """While one thread reads through the cache another is told to read the plain way."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url))

    with near.in_use():
        second = near.read(ask("a"), budget_s=LONG_S)

    assert second is None
    assert read(near, "a") == [1.0]


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


def test_a_write_between_looking_and_asking_is_not_forgotten(url: str, raw: Any, store: RedisOnlineStore) -> None:
    """However often others write meanwhile, the next read asks for a sign of life sent after the last of them."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url))
    read(near, "a")
    before = pings(raw)

    for _ in range(3):
        near.doubt()
        near.doubt()
        read(near, "a")
    read(near, "a")

    assert pings(raw) == before + 3


def test_views_not_asked_for_make_room(url: str, store: RedisOnlineStore) -> None:
    """More view versions than may be held: all are answered, and those asked for last are held."""
    store.write(VIEW, rows("a"))
    near = NearCache(RedisLink(url))
    read(near, "a")
    codec = codec_of(VIEW)

    for number in range(100):
        near.read([Ask(codec=codec, prefix=b"%08d" % number, keys=[b"a"], features=("rms",))], budget_s=LONG_S)

    assert near.views <= 64
    assert read(near, "a") == [1.0]
