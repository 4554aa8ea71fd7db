"""Write Parquet files of a table: sorted, with statistics that prune, seen by nobody until they are committed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.errors import InputError
from lineshaft.stores.data_files import Layout, NewFile, reaching
from lineshaft.stores.parquet_read import micros

if TYPE_CHECKING:
    from lineshaft.stores.delta_log import DeltaFolder

DAY_US = 86_400_000_000
GROUP_ROWS = 131_072
GROUP_BYTES = 32 * 2**20
"""A row group is the unit of pruning, of decoding and of memory: at most this many rows and about this many bytes."""


def conform(table: pa.Table, schema: pa.Schema, *, where: str) -> pa.Table:
    """Return a table as the schema wants it: columns in order, exact types, undefined as null and never NaN.

    Raises
    ------
    InputError
        If a column is missing, cannot be cast without loss, or is null where it must not be.
    """
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise InputError(f"columns missing: {', '.join(missing)}", where=where, fix="write all columns of the schema")
    try:
        table = pa.table([_cast(table[field.name], field.type) for field in schema], schema=schema)
    except pa.ArrowException as error:
        raise InputError(f"rows do not fit the schema: {error}", where=where, fix="cast them before writing") from error
    holes = [f.name for f in schema if not f.nullable and table[f.name].null_count]
    if holes:
        raise InputError(f"null in {', '.join(holes)}", where=where, fix="keys and times are never null")
    return table


def _cast(column: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    column = column if column.type == dtype else column.cast(dtype)
    if pa.types.is_floating(dtype) and pc.any(pc.is_nan(column)).as_py():
        return pc.if_else(pc.is_nan(column), pa.scalar(None, dtype), column)
    return column


def write_files(folder: DeltaFolder, table: pa.Table) -> list[NewFile]:
    """Write rows as one sorted Parquet file per day; nobody sees them before they are committed."""
    layout = folder.layout
    table = table.sort_by([(name, "ascending") for name in layout.sort_by])
    days = micros(table[layout.time]) // DAY_US
    files = []
    for number in np.unique(days):
        here = days == number
        part = table if here.all() else table.filter(pa.array(here))
        day = str(np.datetime64(int(number), "D"))
        files.append(_write(folder, part, day=day))
    return files


def _write(folder: DeltaFolder, table: pa.Table, *, day: str) -> NewFile:
    layout = folder.layout
    place = f"{layout.day}={day}"
    path = f"{place}/part-{uuid4().hex}.parquet"
    names = layout.schema.names
    times = [n for n in names if pa.types.is_timestamp(layout.schema.field(n).type) or n == layout.time]
    stated = list(dict.fromkeys([*layout.sort_by, *times]))
    with reaching(folder.uri):
        target = folder.filesystem
        if "://" not in folder.uri:
            target.create_dir(place, recursive=True)
        with (
            target.open_output_stream(path) as sink,
            pq.ParquetWriter(
                sink,
                layout.schema,
                compression="zstd",
                use_dictionary=[n for n in names if _repeats(layout.schema.field(n).type)],
                column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
                write_statistics=stated,
            ) as writer,
        ):
            writer.write_table(table, row_group_size=_group_rows(table))
        size = target.get_file_info(path).size
        _settle(folder.uri, path)
    low, high = _bounds(table, layout)
    stats = {"numRecords": table.num_rows, "minValues": low, "maxValues": high, "nullCount": dict.fromkeys(low, 0)}
    return NewFile(path=path, size=size, stats=json.dumps(stats), day=day)


def _repeats(dtype: pa.DataType) -> bool:
    """Say whether values of a type tend to repeat, so that a dictionary pays; measured doubles do not."""
    return bool(pa.types.is_string(dtype))


def _group_rows(table: pa.Table) -> int:
    return int(max(1, min(GROUP_ROWS, GROUP_BYTES * table.num_rows // max(1, table.nbytes))))


def _bounds(table: pa.Table, layout: Layout) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return lowest and highest first key and event time, as Delta's log writes them."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    for name in dict.fromkeys((layout.sort_by[0], layout.time)):
        ends = pc.min_max(table[name])
        low[name], high[name] = _plain(ends["min"]), _plain(ends["max"])
    return low, high


def _plain(bound: pa.Scalar) -> Any:
    if pa.types.is_timestamp(bound.type):
        return f"{np.datetime64(bound.value, 'us')}Z"
    value = bound.as_py()
    return value if isinstance(value, int | float | str) else str(value)


def _settle(uri: str, path: str) -> None:
    """Force a local file to disk before a log names it: a power cut must not leave a commit without its data."""
    if "://" in uri:
        return
    handle = os.open(f"{uri}/{path}", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
