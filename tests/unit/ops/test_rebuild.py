"""A rebuild puts back what offline knows, and says what it found online."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lineshaft.ops.rebuild import fill, rebuild
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.stores.ports import Wanted

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)


def rows(*entries: tuple[str, int, float]) -> pa.Table:
    """Return rows of (asset, time, rms)."""
    assets, times, values = ([entry[i] for entry in entries] for i in range(3))
    arrays = [pa.array(c, f.type) for c, f in zip((assets, times, times, values), row_schema(VIEW), strict=True)]
    return pa.table(arrays, schema=row_schema(VIEW))


def served(online: MemoryOnlineStore, *assets: str) -> list[float | None]:
    """Return what is online of assets."""
    (found,) = online.read([Wanted(view=VIEW, features=("rms",), keys=pa.table({"asset_id": list(assets)}))])
    values: list[float | None] = found.rows["rms"].to_pylist()
    return values


@pytest.mark.parametrize(
    ("before", "found", "changed", "removed"),
    [
        (rows(("a", 2, 2.0), ("b", 1, 5.0)), "the same bytes", 0, 0),
        (rows().slice(0, 0), "nothing", 2, 0),
        (rows(("a", 1, 1.0), ("b", 1, 5.0)), "other bytes", 1, 0),
        (rows(("a", 2, 2.0), ("b", 1, 5.0), ("c", 9, 9.0)), "other bytes", 0, 1),
        (rows(("a", 9, 9.0)), "other bytes", 2, 0),
    ],
    ids=["kept", "lost", "stale", "too much", "newer"],
)
def test_the_newest_row_of_each_entity_is_put_back(before: pa.Table, found: str, changed: int, removed: int) -> None:
    """Whatever lay online gives way to the newest rows of offline; a loss is told as one, not as wrong bytes."""
    offline, online = MemoryOfflineStore(), MemoryOnlineStore()
    offline.write_rows(VIEW, rows(("a", 1, 1.0), ("a", 2, 2.0), ("b", 1, 5.0)), batch="one")
    online.write(VIEW, before)

    (done,) = rebuild([VIEW], offline, online)

    assert (done.view, done.rows.rows, done.found) == ("pumps", 2, found)
    assert (done.rows.changed, done.rows.removed) == (changed, removed)
    assert served(online, "a", "b", "c") == [2.0, 5.0, None]


def test_a_rebuild_of_nothing_finds_nothing_wrong() -> None:
    """A view without rows on either side is as it was."""
    (done,) = rebuild([VIEW], MemoryOfflineStore(), MemoryOnlineStore())

    assert (done.rows.rows, done.found) == (0, "the same bytes")


def test_filling_keeps_what_is_newer_online() -> None:
    """A stream may have written since: only rows that are missing or older are replaced, and only these are counted."""
    offline, online = MemoryOfflineStore(), MemoryOnlineStore()
    offline.write_rows(VIEW, rows(("a", 2, 2.0), ("b", 1, 5.0), ("c", 3, 7.0)), batch="one")
    online.write(VIEW, rows(("a", 9, 9.0), ("b", 0, 4.0)))

    assert fill([VIEW], offline, online) == 2
    assert served(online, "a", "b", "c") == [9.0, 5.0, 7.0]
