"""Replacing a view whole, on every online store: it holds what it is given, and was never without it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Replaced, Wanted
from lineshaft.stores.replacement import Swap, replace_rows

Store = MemoryOnlineStore | RedisOnlineStore
SOURCE = Source(name="s", channels=("x",), units=("g",))
KEYED = (("asset_id", "string"),)
PUMPS = View(name="pumps", source=SOURCE, entity_keys=KEYED, features=(Feature(name="rms"),))
SIGNS = View(name="signs", source=SOURCE, entity_keys=KEYED, features=(Feature(name="text", dtype="string"),))
FANS = View(name="fans", source=SOURCE, entity_keys=KEYED, features=(Feature(name="rms"),))
MANY = 1203
"""Rows of more than one batch, the last of them not full."""


def rows(*entries: tuple[str, int, float]) -> pa.Table:
    """Return rows of PUMPS: (asset, time, rms)."""
    assets, times, values = zip(*entries, strict=True)
    schema = row_schema(PUMPS)
    return pa.table([pa.array(c, f.type) for c, f in zip((assets, times, times, values), schema, strict=True)], schema)


def given(*tables: pa.Table) -> Callable[[], Iterator[pa.Table]]:
    """Return what offline would."""
    return lambda: iter(tables)


def held(store: Store, view: View = PUMPS) -> dict[str, tuple[int, Any]]:
    """Return what a store holds: time and value by asset."""
    tables = [table.cast(row_schema(view)) for table in store.scan(view)]
    scanned = pa.concat_tables([row_schema(view).empty_table(), *tables])
    times = scanned["event_time"].cast(pa.int64()).to_pylist()
    names, values = scanned["asset_id"].to_pylist(), scanned.columns[-1].to_pylist()
    return {name: (time, value) for name, time, value in zip(names, times, values, strict=True)}


def test_whatever_is_there_gives_way(store: Store) -> None:
    """Older, newer and other bytes, unreadable ones and rows too many: all become what is given; other views stay."""
    store.write(
        PUMPS, rows(("same", 5, 1.0), ("older", 1, 0.0), ("newer", 9, 0.0), ("other", 5, 0.0), ("gone", 5, 1.0))
    )
    store.overwrite(PUMPS, pa.table({"asset_id": ["noise", "foreign"]}), b"\xb1" + b"\xff" * 80)
    store.write(FANS, rows(("gone", 5, 1.0)))
    names = ("same", "older", "newer", "other", "noise", "missing")
    truth = rows(*[(name, 5, 1.0) for name in names])
    twin = MemoryOnlineStore()
    twin.write(PUMPS, truth)

    done = store.replace(PUMPS, given(truth.slice(0, 2), truth.slice(2)))

    assert done == Replaced(before=7, rows=6, changed=5, removed=2)
    assert held(store) == dict.fromkeys(names, (5, 1.0))
    assert store.digest(PUMPS) == twin.digest(PUMPS)
    assert held(store, FANS) == {"gone": (5, 1.0)}


def test_the_same_again_changes_nothing(store: Store) -> None:
    """What is held already is not written, and a view may be filled from nothing or emptied this way."""
    truth = rows(*[(f"p{i}" * (1 + i % 3), i, float(i)) for i in range(MANY)])

    first, again, none = (store.replace(PUMPS, given(*tables)) for tables in ([truth], [truth], []))

    assert first == Replaced(before=0, rows=MANY, changed=MANY, removed=0)
    assert again == Replaced(before=MANY, rows=MANY, changed=0, removed=0)
    assert none == Replaced(before=MANY, rows=0, changed=0, removed=MANY)
    assert store.clear(PUMPS) == 0


def test_views_with_texts_are_replaced_too(store: Store) -> None:
    """Rows of unequal length find their places."""
    schema = row_schema(SIGNS)
    texts: list[list[str | None]] = [["a", "b", None, "x" * 999], ["", "b", "c", "y" * 9]]
    columns = [[list("abcd"), [5] * 4, [5] * 4, text] for text in texts]
    before, truth = (
        pa.table([pa.array(c, f.type) for c, f in zip(each, schema, strict=True)], schema) for each in columns
    )
    store.write(SIGNS, before)

    assert store.replace(SIGNS, given(truth)) == Replaced(before=4, rows=4, changed=3, removed=0)
    assert {name: text for name, (_, text) in held(store, SIGNS).items()} == dict(zip("abcd", texts[1], strict=True))


def test_what_is_written_meanwhile_is_not_undone(store: Store) -> None:
    """A writer's newer row stays, also of an entity that offline did not know yet; an older one gives way."""
    store.write(PUMPS, rows(("a", 5, 1.0), ("b", 5, 1.0), ("c", 1, 0.0), ("ghost", 5, 1.0), ("late", 1, 0.0)))

    def latest() -> Iterator[pa.Table]:
        store.write(PUMPS, rows(("a", 9, 9.0), ("c", 3, 3.0), ("new", 9, 9.0), ("late", 9, 9.0)))
        yield rows(("a", 5, 1.0), ("b", 5, 1.0), ("c", 5, 1.0))

    store.replace(PUMPS, latest)

    assert held(store) == {"a": (9, 9.0), "b": (5, 1.0), "c": (5, 1.0), "new": (9, 9.0), "late": (9, 9.0)}


class Late:
    """A store that is written to in the last moment, after its rows were read and before they are replaced."""

    def __init__(self, store: Store, rows: pa.Table) -> None:
        self.store, self.rows = store, rows
        self.entries, self.values, self.write = store.entries, store.values, store.write

    def swap(self, view: View, swaps: Sequence[Swap]) -> int:
        """Write first."""
        self.write(view, self.rows)
        return self.store.swap(view, swaps)


def test_what_is_written_between_looking_and_putting_is_not_undone(store: Store) -> None:
    """A row that comes in the moment before its place is taken stays if it is newer, and is not removed."""
    store.write(PUMPS, rows(("a", 1, 0.0), ("b", 1, 0.0), ("ghost", 1, 0.0)))
    late = Late(store, rows(("a", 9, 9.0), ("b", 3, 3.0), ("ghost", 9, 9.0)))

    done = replace_rows(PUMPS, given(rows(("a", 5, 1.0), ("b", 5, 1.0))), late)

    assert held(store) == {"a": (9, 9.0), "b": (5, 1.0), "ghost": (9, 9.0)}
    assert (done.changed, done.removed) == (1, 0)


def test_an_offline_store_that_fails_removes_nothing(store: Store) -> None:
    """Rows are taken away only when all that is to stay is known."""
    store.write(PUMPS, rows(("a", 5, 1.0), ("b", 5, 1.0)))

    def latest() -> Iterator[pa.Table]:
        yield rows(("a", 5, 2.0))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        store.replace(PUMPS, latest)

    assert held(store) == {"a": (5, 2.0), "b": (5, 1.0)}


def test_a_reader_who_holds_rows_sees_the_change_at_once(store: Store) -> None:
    """Rows kept beside the reader are asked for again where they were replaced or removed."""
    store.write(PUMPS, rows(("a", 9, 9.0), ("b", 5, 1.0)))
    wanted = [Wanted(view=PUMPS, features=("rms",), keys=pa.table({"asset_id": ["a", "b"]}))]
    ask = store.read if isinstance(store, MemoryOnlineStore) else lambda w: store.read_at_once(w) or store.read(w)
    for _ in range(2):
        assert ask(wanted)[0].status.tolist() == [Status.PRESENT] * 2

    store.replace(PUMPS, given(rows(("a", 5, 1.0))))

    found = ask(wanted)[0]
    assert found.rows["rms"].to_pylist() == [1.0, None]
    assert found.status.tolist() == [Status.PRESENT, Status.NOT_FOUND]
