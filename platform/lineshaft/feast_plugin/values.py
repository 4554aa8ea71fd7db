"""Feast's protobuf values and Arrow columns, converted without losing a digit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from lineshaft.errors import InputError
from lineshaft.specs import View, row_schema
from lineshaft.specs.feast import VALUE_FIELDS
from lineshaft.specs.rows import ARROW_TYPES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FRAME_TYPES = {
    pa.int64(): pd.Int64Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
"""Integers stay integers next to a null: pandas' own conversion makes them floats and loses those above 2^53."""


def microseconds(moment: datetime) -> int:
    """Return a datetime as microseconds UTC; a naive one is UTC, as everywhere in Feast."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def python_value(value: Value) -> Any:
    """Return what a Feast value holds, None where it holds nothing."""
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    held = getattr(value, kind)
    return held * 1_000_000 if kind == "unix_timestamp_val" else held


def proto_values(column: pa.ChunkedArray, dtype: str) -> list[Value]:
    """Return a column as Feast values. A timestamp is cut to seconds: Feast's message has no more."""
    name = VALUE_FIELDS[dtype]
    if dtype == "timestamp":
        column = column.cast(pa.int64())
        return [Value() if v is None else Value(unix_timestamp_val=v // 1_000_000) for v in column.to_pylist()]
    return [Value() if v is None else Value(**{name: v}) for v in column.to_pylist()]


def proto_times(times_us: Iterable[int | None]) -> list[Timestamp]:
    """Return event times, to the microsecond; 0 where there is none."""
    return [
        Timestamp() if us is None else Timestamp(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1000)
        for us in times_us
    ]


def key_table(view: View, keys: Sequence[EntityKey]) -> pa.Table:
    """Return Feast entity keys as a table of the view's join keys."""
    found = [dict(zip(key.join_keys, map(python_value, key.entity_values), strict=True)) for key in keys]
    return key_columns(view, {name: [row.get(name) for row in found] for name, _ in view.entity_keys})


def key_columns(view: View, values: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return a request's key columns in the view's own types.

    Raises
    ------
    InputError
        If a key is missing, null or of another type: as text "5" and as a number 5 are two entities.
    """
    columns = {}
    for name, dtype in view.entity_keys:
        if name not in values:
            raise InputError(
                f"view {view.name!r} is keyed by {name!r}, which the request lacks",
                where=f"keys given: {', '.join(values) or 'none'}",
                fix=f"give every row its {name}",
            )
        wrong = [v for v in values[name] if not _fits(v, dtype)]
        if wrong:
            raise InputError(f"{name} = {wrong[0]!r} is no {dtype}", where=f"view {view.name}", fix=f"send a {dtype}")
        columns[name] = pa.array(values[name], ARROW_TYPES[dtype])
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"keys of different length: {sizes}", fix="give one value of each key for each row")
    return pa.table(columns)


def row_table(view: View, data: Sequence[tuple[EntityKey, Mapping[str, Value], datetime, datetime | None]]) -> pa.Table:
    """Return rows as Feast hands them to an online store, in the view's row schema."""
    keys = key_table(view, [key for key, _, _, _ in data])
    event_us = [microseconds(event) for _, _, event, _ in data]
    known_us = [microseconds(created) if created else us for (_, _, _, created), us in zip(data, event_us, strict=True)]
    schema = row_schema(view)
    columns = [
        *keys.columns,
        *(pa.array(us, pa.int64()).cast(schema.field("event_time").type) for us in (event_us, known_us)),
    ]
    for feature in view.features:
        held = [python_value(row[feature.name]) if feature.name in row else None for _, row, _, _ in data]
        columns.append(_column(held, ARROW_TYPES[feature.dtype]))
    return pa.Table.from_arrays(columns, schema=schema)


def frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a pandas frame whose dtypes do not depend on whether a null is among the values."""
    made: pd.DataFrame = table.to_pandas(types_mapper=_FRAME_TYPES.get)
    return made


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _fits(value: Any, dtype: str) -> bool:
    if dtype == "string":
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool)
