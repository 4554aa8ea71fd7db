"""Rows put in the place of others: once, whole, and the version before still says what it said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.ports import OfflineStore

DAY_US = 86_400_000_000
VIEW = View(
    name="motor",
    source=Source(name="motor", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
STORES: dict[str, Callable[[Path], OfflineStore]] = {
    "memory": lambda _: MemoryOfflineStore(),
    "delta": lambda root: DeltaOfflineStore(str(root / "offline")),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OfflineStore:
    """Return a store of each kind with three rows of two days."""
    found = STORES[request.param](tmp_path)
    found.write_rows(VIEW, rows(("a", 1, 1.0), ("a", DAY_US + 1, 2.0)), batch="one")
    found.write_rows(VIEW, rows(("b", 1, 3.0)), batch="two")
    return found


def rows(*given: tuple[str, int, float | None]) -> pa.Table:
    """Return rows of (asset, event and known time, rms)."""
    assets, at, values = zip(*given, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip((assets, at, at, values), row_schema(VIEW), strict=True)]
    return pa.table(arrays, schema=row_schema(VIEW))


def held(store: OfflineStore, version: int | None = None) -> list[tuple[str, int, float | None]]:
    """Return what a store holds, sorted."""
    found = []
    for part in store.read_rows(VIEW, version=version):
        at = part["event_time"].cast(pa.int64()).to_pylist()
        found += list(zip(part["asset_id"].to_pylist(), at, part["rms"].to_pylist(), strict=True))
    return sorted(found)


def test_a_row_takes_the_place_of_its_own_and_others_stay(store: OfflineStore) -> None:
    """One is replaced, one is added, two are left; the version before and its rows can still be read."""
    before = store.version(VIEW)

    after = store.amend_rows(VIEW, rows(("a", 1, 9.0), ("c", 1, 4.0)), batch="mended")

    assert after == store.version(VIEW) > before
    assert held(store) == [("a", 1, 9.0), ("a", DAY_US + 1, 2.0), ("b", 1, 3.0), ("c", 1, 4.0)]
    assert held(store, before) == [("a", 1, 1.0), ("a", DAY_US + 1, 2.0), ("b", 1, 3.0)]


def test_an_amendment_is_made_once(store: OfflineStore) -> None:
    """Its batch name is remembered, as a write's is: sent again, even with other values, it changes nothing."""
    first = store.amend_rows(VIEW, rows(("a", 1, 9.0)), batch="mended")
    again = store.amend_rows(VIEW, rows(("a", 1, 8.0)), batch="mended")

    assert first == again
    assert held(store)[0] == ("a", 1, 9.0)


def test_an_amendment_of_nothing_makes_no_version(store: OfflineStore) -> None:
    """No rows, no commit; and one of a table that is not there yet makes it."""
    before = store.version(VIEW)
    assert store.amend_rows(VIEW, rows(("a", 1, 1.0)).slice(0, 0), batch="none") == before


def test_rows_written_after_an_amendment_stand_beside_it(store: OfflineStore) -> None:
    """The table goes on as it was: appends, and amendments of what was amended."""
    store.amend_rows(VIEW, rows(("a", 1, 9.0)), batch="mended")
    store.write_rows(VIEW, rows(("d", 2, 5.0)), batch="three")
    store.amend_rows(VIEW, rows(("a", 1, None)), batch="mended again")

    assert held(store) == [("a", 1, None), ("a", DAY_US + 1, 2.0), ("b", 1, 3.0), ("d", 2, 5.0)]
