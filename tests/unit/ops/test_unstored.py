"""What is stored already, and what is told twice, is left out; the rest keeps its order and its bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.ops.unstored import unstored
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.ports import OfflineStore

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
Make = Callable[[Path], OfflineStore]


def rows(*cells: tuple[str, int, int, float | None]) -> pa.Table:
    """Return rows of (asset, event time, known time, value)."""
    schema = row_schema(VIEW)
    columns = zip(*cells, strict=True) if cells else [[]] * len(schema)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


@pytest.mark.parametrize("make", [lambda _: MemoryOfflineStore(), lambda path: DeltaOfflineStore(str(path))])
def test_rows_are_new_by_key_event_time_and_known_time(make: Make, tmp_path: Path) -> None:
    """A correction (another known time) is new; the same version with other values is not; the first of two stays."""
    offline = make(tmp_path)
    offline.write_rows(VIEW, rows(("a", 1, 1, 1.0), ("b", 5, 5, 2.0)), batch="one")
    batch = rows(("c", 9, 9, None), ("a", 1, 2, 7.0), ("a", 1, 1, 8.0), ("c", 9, 9, 3.0), ("b", 4, 5, 4.0))

    left = unstored(VIEW, batch, offline)

    assert left.equals(batch.take([0, 1, 4]))


@pytest.mark.parametrize("make", [lambda _: MemoryOfflineStore(), lambda path: DeltaOfflineStore(str(path))])
def test_everything_is_new_to_an_empty_store_and_nothing_stays_nothing(make: Make, tmp_path: Path) -> None:
    """A view without a table holds no row."""
    batch = rows(("b", 1, 1, 1.0), ("a", 1, 1, 2.0))

    assert unstored(VIEW, batch, make(tmp_path)).equals(batch)
    assert unstored(VIEW, rows(), make(tmp_path)).num_rows == 0
