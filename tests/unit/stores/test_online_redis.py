"""What only the Redis adapter promises: one round trip, its own keys alone, safe sharing."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.errors import ConflictError, UnavailableError
from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import prefix_of
from lineshaft.stores.ports import Wanted

SOURCE = Source(name="s", channels=("x",), units=("g",))
VIEWS = tuple(
    View(name=name, source=SOURCE, entity_keys=(("asset_id", "string"),), features=(Feature(name="rms"),))
    for name in ("pumps", "motors", "fans")
)


def rows(view: View, n: int, *, event: int = 1) -> pa.Table:
    """Return a row for each of n assets."""
    columns = ([f"a{i}" for i in range(n)], [event] * n, [event] * n, [float(i) for i in range(n)])
    schema = row_schema(view)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def calls(client: Any) -> dict[str, int]:
    """Return how often the server has run each command."""
    stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}


def test_any_number_of_rows_and_views_is_one_command(url: str, raw: Any) -> None:
    """A read of 500 rows from three views is one MGET and nothing else."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    for view in VIEWS:
        store.write(view, rows(view, 500))
    keys = rows(VIEWS[0], 500).select(["asset_id"])
    wanted = [Wanted(view=view, features=("rms",), keys=keys) for view in VIEWS]
    store.read(wanted)
    before = calls(raw)

    found = store.read(wanted)

    after = calls(raw)
    assert {name: after[name] - before.get(name, 0) for name in after if name != "info"} == {
        name: int(name == "mget") for name in after if name != "info"
    }
    assert [part.rows["rms"].null_count for part in found] == [0, 0, 0]


@pytest.mark.usefixtures("raw")
def test_a_project_never_touches_another_whose_name_ends_like_its_own(url: str) -> None:
    """Clearing `prod` leaves `line_prod`, `prod2` and `*` alone, and the other way round."""
    names = ["prod", "line_prod", "prod2", "pro?", "*", "prod/pumps", "[p]rod", "pröd"]
    stores = {name: RedisOnlineStore(url, project=name, timeout_s=5.0) for name in names}
    for store in stores.values():
        store.write(VIEWS[0], rows(VIEWS[0], 3))

    for i, name in enumerate(names):
        assert stores[name].clear(VIEWS[0]) == 3
        left = [sum(t.num_rows for t in stores[other].scan(VIEWS[0])) for other in names]
        assert left == [0] * (i + 1) + [3] * (len(names) - i - 1)


def test_foreign_keys_stay(url: str, raw: Any) -> None:
    """Keys of other programs in the same database are neither scanned nor cleared."""
    raw.set("dev", "x")
    raw.set("session:dev/pumps@", "y")
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    store.write(VIEWS[0], rows(VIEWS[0], 2500))

    assert store.clear(VIEWS[0]) == 2500
    assert sorted(raw.keys()) == [b"dev", b"session:dev/pumps@"]


def test_the_server_says_in_words_whose_keys_are_whose(url: str, raw: Any) -> None:
    """Eight characters stand before each key, and a hash names the project, view and version they stand for."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    store.write(VIEWS[0], rows(VIEWS[0], 2))

    named = raw.hgetall("lineshaft:views")

    assert list(named.values()) == [f"dev/{VIEWS[0].ref}".encode()]
    assert {key[:8] for key in raw.keys("*a*")} - {b"lineshaf"} == set(named)


def test_two_views_of_one_prefix_are_refused(url: str, raw: Any) -> None:
    """Should two names ever share their eight characters, the second is refused: nothing is written or removed."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    prefix = prefix_of("dev", VIEWS[0].ref)
    raw.hset("lineshaft:views", prefix, "lab/other@1")
    raw.set(prefix + b"theirs", "x")

    with pytest.raises(ConflictError, match="lab/other@1 have the same short prefix"):
        store.write(VIEWS[0], rows(VIEWS[0], 2))
    with pytest.raises(ConflictError, match="lab/other@1 have the same short prefix"):
        store.replace(VIEWS[0], list)

    assert sorted(raw.keys()) == [prefix + b"theirs", b"lineshaft:views"]


def test_keys_of_any_length_are_written_each_with_its_own_row(url: str, raw: Any) -> None:
    """Rows travel by the length of their keys; each is found under its own, the last of one key among them."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    n = 3000
    columns = ([f"m{i % 1700}" for i in range(n)], range(1, n + 1), range(1, n + 1), [float(i) for i in range(n)])
    schema = row_schema(VIEWS[0])
    table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)

    written = store.write(VIEWS[0], table)
    keys = pa.table({"asset_id": [f"m{i}" for i in range(1700)]})
    found = store.read([Wanted(view=VIEWS[0], features=("rms",), keys=keys)])[0]

    assert (written.kept + written.older, raw.dbsize()) == (n, 1700 + 1)
    assert found.rows["rms"].to_pylist() == [float(i + 1700 if i < 1300 else i) for i in range(1700)]


def test_a_key_of_another_kind_under_our_prefix_gives_way(url: str, raw: Any) -> None:
    """The prefix is the project's: a hash where a packed row should be is not found, and the next write replaces it."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    store.write(VIEWS[0], rows(VIEWS[0], 1))
    (key,) = set(raw.keys()) - {b"lineshaft:views"}
    raw.delete(key)
    raw.hset(key, "f", "v")
    wanted = [Wanted(view=VIEWS[0], features=("rms",), keys=rows(VIEWS[0], 1).select(["asset_id"]))]

    before = store.read(wanted)[0].status.tolist()
    store.write(VIEWS[0], rows(VIEWS[0], 1))

    assert (before, store.read(wanted)[0].status.tolist()) == ([Status.NOT_FOUND], [Status.PRESENT])


@pytest.mark.usefixtures("raw")
def test_a_view_that_somebody_else_filled_meanwhile_is_no_empty_view(url: str) -> None:
    """The short way for empty views never replaces a newer row, in whichever batch it hides."""
    hurried, other = (RedisOnlineStore(url, project="dev", timeout_s=5.0) for _ in range(2))
    other.write(VIEWS[0], rows(VIEWS[0], 2000, event=9).slice(1700, 1))

    written = hurried.write(VIEWS[0], rows(VIEWS[0], 2000, event=1))
    keys = pa.table({"asset_id": ["a1699", "a1700"]})
    found = hurried.read([Wanted(view=VIEWS[0], features=("rms",), keys=keys)])[0]

    assert (written.kept, written.older) == (1999, 1)
    assert found.rows["event_time"].cast(pa.int64()).to_pylist() == [1, 9]


def test_a_flushed_script_cache_is_no_matter(url: str, raw: Any) -> None:
    """Scripts forgotten by the server (restart, SCRIPT FLUSH) are sent again with the next write."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    store.write(VIEWS[0], rows(VIEWS[0], 1))
    raw.script_flush()

    assert store.write(VIEWS[0], rows(VIEWS[0], 1, event=2)).kept == 1


@pytest.mark.usefixtures("raw")
def test_threads_share_a_store(url: str) -> None:
    """Many threads reading different rows each get their own."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    store.write(VIEWS[0], rows(VIEWS[0], 200))

    def read(i: int) -> float:
        keys = pa.table({"asset_id": [f"a{i % 200}"]})
        value: float = store.read([Wanted(view=VIEWS[0], features=("rms",), keys=keys)])[0].rows["rms"].to_pylist()[0]
        return value

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(read, range(2000))) == [float(i % 200) for i in range(2000)]


@pytest.mark.usefixtures("raw")
def test_a_forked_child_does_not_speak_on_its_parents_connection(url: str) -> None:
    """After a fork both sides read right values, at the same time."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    store.write(VIEWS[0], rows(VIEWS[0], 2))

    def right(asset: str, value: float) -> bool:
        keys = pa.table({"asset_id": [asset]})
        wanted = [Wanted(view=VIEWS[0], features=("rms",), keys=keys)]
        return all(store.read(wanted)[0].rows["rms"].to_pylist() == [value] for _ in range(50))

    child = os.fork()
    if child == 0:
        os._exit(0 if right("a0", 0.0) else 1)
    mine = right("a1", 1.0)
    _, status = os.waitpid(child, 0)

    assert mine
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_wrong_url_says_how_to_write_one() -> None:
    """What is no Redis URL is refused when the store is made."""
    with pytest.raises(UnavailableError, match="not a Redis URL"):
        RedisOnlineStore("http://127.0.0.1:6379", project="dev")


@pytest.mark.usefixtures("raw")
def test_rows_of_any_chunking_are_written(url: str) -> None:
    """A table in several chunks, as Parquet gives it, is written whole."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    whole = rows(VIEWS[0], 1200)
    cuts = [0, 1, 400, 900, 1200]
    chunked = pa.concat_tables([whole.slice(a, b - a) for a, b in pairwise(cuts)])

    assert store.write(VIEWS[0], chunked).kept == 1200


def test_a_server_that_hangs_is_waited_for_a_moment_only(url: str, raw: Any) -> None:
    """Reading at once gives what is there; while the server hangs it gives up in milliseconds, then does not try."""
    store = RedisOnlineStore(url, project="dev", timeout_s=5.0)
    store.write(VIEWS[0], rows(VIEWS[0], 3))
    wanted = [Wanted(view=VIEWS[0], features=("rms",), keys=rows(VIEWS[0], 3).select(["asset_id"]))]
    prompt = store.read_at_once(wanted, budget_s=5.0) or store.read(wanted)  # a busy machine may be slow
    raw.execute_command("CLIENT", "PAUSE", "300")
    time.sleep(0.11)  # what is held counts as fresh for 100 ms without a sign of life

    start = time.perf_counter()
    late = [store.read_at_once(wanted) for _ in range(5)]
    took_s = time.perf_counter() - start

    assert prompt[0].rows["rms"].to_pylist() == [0.0, 1.0, 2.0]
    assert late == [None] * 5
    assert took_s < 0.2
    assert store.read(wanted)[0].rows["rms"].to_pylist() == [0.0, 1.0, 2.0]
