"""Plain reads of a table: rows of a time range and of some assets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.stores.data_files import Layout
from lineshaft.stores.parquet_read import Snapshot, bounds


def scan(
    snapshot: Snapshot,
    layout: Layout,
    *,
    columns: pa.Schema,
    after_us: int | None,
    until_us: int | None,
    first_key: Sequence[str],
) -> Iterator[pa.Table]:
    """Return rows with time in (after, until], one row group at a time; no `first_key` means all."""
    key = layout.sort_by[0]
    names = list(dict.fromkeys([*columns.names, layout.time, key]))
    chosen = pa.array(list(first_key)).cast(layout.schema.field(key).type) if first_key else None
    values = [] if chosen is None else chosen.to_pylist()
    for file in snapshot.files:
        if _outside(file.oldest_us, file.newest_us, after_us, until_us):
            continue
        opened = snapshot.open(file)
        for number in range(opened.num_row_groups):
            low, high = bounds(opened, number, key)
            if values and low is not None and not any(low <= value <= high for value in values):
                continue
            if _outside(*bounds(opened, number, layout.time), after_us, until_us):
                continue
            table = snapshot.group(file, number, names, opened=opened)
            keep = _keep(table, layout, key, after_us, until_us, chosen)
            table = table if keep is None else table.filter(keep)
            if table.num_rows:
                yield pa.table([_plain(table[field.name], field.type) for field in columns], schema=columns)


def _outside(low_us: int | None, high_us: int | None, after_us: int | None, until_us: int | None) -> bool:
    """Say whether statistics rule every row out."""
    too_old = high_us is not None and after_us is not None and high_us <= after_us
    too_new = low_us is not None and until_us is not None and low_us > until_us
    return too_old or too_new


def _keep(
    table: pa.Table, layout: Layout, key: str, after_us: int | None, until_us: int | None, chosen: pa.Array | None
) -> pa.ChunkedArray | None:
    """Return which rows to keep, None for all."""
    time = table[layout.time]
    time = time.cast(pa.int64()) if pa.types.is_timestamp(time.type) else time
    tests = []
    if after_us is not None:
        tests.append(pc.greater(time, after_us))
    if until_us is not None:
        tests.append(pc.less_equal(time, until_us))
    if chosen is not None:
        tests.append(pc.is_in(table[key], value_set=chosen))
    keep = None
    for test in tests:
        keep = test if keep is None else pc.and_(keep, test)
    return keep


def _plain(column: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == dtype else column.cast(dtype)
