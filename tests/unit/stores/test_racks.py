"""Rows held side by side: whatever is written meanwhile, they are answered as rows read from the server are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.ops.training_set import answer
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.near_cache import Ask, NearCache
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.online_rows import codec_of
from lineshaft.stores.ports import Found, FoundTogether, Wanted
from lineshaft.stores.racks import Rack
from lineshaft.stores.redis_link import RedisLink
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.joined import join
from lineshaft.tiles.keys import Keys

SOURCE = Source(name="s", channels=("x",), units=("g",))
ASSETS = ("a", "b", "c")
KEYED = (("asset_id", "string"),)
PUMPS = View(
    name="pumps",
    source=SOURCE,
    entity_keys=KEYED,
    features=(Feature(name="rms"), Feature(name="starts", dtype="int64"), Feature(name="peak")),
    ttl_us=50,
)
SITES = View(
    name="sites",
    source=SOURCE,
    entity_keys=KEYED,
    features=(Feature(name="opened", dtype="timestamp"), Feature(name="load"), Feature(name="count", dtype="int64")),
)
VIEWS = (PUMPS, SITES)
USED = {"pumps": ("peak", "starts", "rms"), "sites": ("load", "opened")}
SERVICE = Service(
    name="s", views=tuple(ServiceView(view=v.name, version=v.version, features=USED[v.name]) for v in VIEWS)
)


def row(view: View, asset: str, event: int, cells: list[Any]) -> pa.Table:
    """Return one row."""
    schema = row_schema(view)
    columns = [[asset], [event], [event + 1], *[[cell] for cell in cells]]
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def wanted(assets: list[str]) -> list[Wanted]:
    """Return the question for these assets."""
    keys = Keys({"asset_id": assets})
    return [Wanted(view=view, features=USED[view.name], keys=keys) for view in VIEWS]


def promptly(store: RedisOnlineStore, assets: list[str]) -> Sequence[Found]:
    """Return what a store answers at once: a machine that is busy may take it a few tries."""
    while (found := store.read_at_once(wanted(assets), budget_s=5)) is None:
        time.sleep(0.01)
    return found


def told(found: Any, count: int, *, at_us: int = 60) -> tuple[Any, ...]:
    """Return all that an answer says, bit for bit, and the times behind it."""
    judged: Answer = answer(SERVICE, VIEWS, found, np.full(count, at_us))
    parts: list[Found] = list(found)
    bits = [column.fill_null(-1).cast(column.type).to_pylist() for column in judged.columns.columns]
    times = [part.rows.select(["event_time", "known_at"]).to_pylist() for part in parts]
    alone = [part.rows.to_pylist() for part in parts]
    ages = {name: age.tolist() for name, age in judged.age_us.items()}
    return judged.columns.column_names, repr(bits), judged.status.tolist(), ages, times, repr(alone)


CELLS = st.tuples(
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.integers(-9, 9)),
    st.sampled_from([None, 1.5]),
)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(ASSETS), st.integers(0, 60), CELLS),
    st.tuples(st.sampled_from(["remove", "corrupt"]), st.sampled_from(ASSETS), st.sampled_from([0, 1]), st.just(())),
    st.tuples(st.just("read"), st.lists(st.sampled_from(ASSETS), max_size=4), st.integers(0, 200), st.just(())),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=25))
def test_what_is_held_is_answered_as_what_is_read(url: str, steps: list[tuple[Any, ...]]) -> None:
    """Writes, nulls, removals, corrupt bytes and rows too old: the same answer with rows held here and without."""
    near, plain = (RedisOnlineStore(url, project="p", timeout_s=5, near_rows=most) for most in (1000, 0))
    for view in VIEWS:
        near.clear(view)
    for what, asset, number, cells in [*steps, *([("read", list(ASSETS), 60, ())] * 2)]:
        view = VIEWS[number % 2]
        if what == "write":
            order = cells if view is PUMPS else (cells[1], cells[0], cells[1])
            near.write(view, row(view, asset, number, list(order)))
        elif what == "remove":
            near.remove(view, pa.table({"asset_id": [asset]}))
        elif what == "corrupt":
            near.overwrite(view, pa.table({"asset_id": [asset]}), b"noise")
        else:
            held, read = promptly(near, asset), plain.read(wanted(asset))
            assert told(held, len(asset), at_us=number) == told(read, len(asset), at_us=number)
    near.close()
    plain.close()


@pytest.mark.usefixtures("raw")  # nothing of other tests is there
def test_the_second_answer_comes_from_what_is_held(url: str) -> None:
    """Rows that are all there are put side by side once; a row that changed is fetched, and held again."""
    store, near = RedisOnlineStore(url, project="p", timeout_s=5), NearCache(RedisLink(url))
    for asset in ASSETS:
        store.write(PUMPS, row(PUMPS, asset, 20, [1.0, 2, 3.0]))
        store.write(SITES, row(SITES, asset, 30, [4, 5.0, 6]))
    keys = codec_of(PUMPS).keys.encode(Keys({"asset_id": ["b", "a", "b"]}))
    asks = [
        Ask(codec=codec_of(v), prefix=codec_of(v).prefix("p"), keys=keys, features=USED[v.name]) for v in (PUMPS, SITES)
    ]

    first, second = (near.read(asks, budget_s=10) for _ in range(2))
    store.write(PUMPS, row(PUMPS, "a", 21, [1.0, 2, 9.0]))
    near.doubt()
    third, fourth = (near.read(asks, budget_s=10) for _ in range(2))

    kinds = [isinstance(found, FoundTogether) for found in (first, second, third, fourth)]
    assert kinds == [False, True, False, True]
    assert told(first, 3) == told(second, 3) != told(third, 3) == told(fourth, 3)


def found_of(values: list[float]) -> tuple[list[Found], np.ndarray[Any, np.dtype[np.int64]]]:
    """Return one view's rows, all there."""
    n = len(values)
    times = pa.array([7] * n, pa.timestamp("us", tz="UTC"))
    rows = pa.table({"event_time": times, "known_at": times, "rms": values})
    return [Found(rows=rows, status=np.full(n, Status.PRESENT, np.int8))], np.full((1, n), 7)


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_is_held_than_may_be(most: int) -> None:
    """The one that was put first goes first; what goes is not answered, and the others are."""
    rack = Rack((("rms",),), most=most)
    keys = [b"%d" % i for i in range(5)]

    for i, key in enumerate(keys):
        found, known_us = found_of([float(i)])
        rack.put([key], join([(one.sheet, one.status, ("rms",)) for one in found]), known_us)

    there = [rack.take([key]) is not None for key in keys]
    last = rack.take(keys[-1:])
    assert there == [False] * (5 - most) + [True] * most
    assert last is not None
    assert last[0].rows["rms"].to_pylist() == [4.0]


def test_nothing_asked_for_is_nothing_held() -> None:
    """A question about nobody is left to whoever reads."""
    assert Rack((("rms",),), most=3).take([]) is None
