"""Feast's values and Arrow's columns, to and fro, without losing a digit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

pytest.importorskip("feast")
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from lineshaft.errors import InputError
from lineshaft.feast_plugin.values import (
    frame,
    key_columns,
    key_table,
    microseconds,
    proto_times,
    proto_values,
    python_value,
    row_table,
)
from lineshaft.specs import Feature, Source, View, row_schema

VIEW = View(
    name="lab",
    source=Source(name="lab", channels=(), units=(), kind="rows"),
    entity_keys=(("asset_id", "string"), ("slot", "int64")),
    features=tuple(
        Feature(name=name, dtype=name)
        for name in ("float64", "float32", "int64", "int32", "bool", "string", "bytes", "timestamp")
    ),
)
VALUES: dict[str, Any] = {
    "float64": 0.1,
    "float32": float(np.float32(0.1)),
    "int64": 2**53 + 1,
    "int32": -7,
    "bool": True,
    "string": "Ä",
    "bytes": b"\0\xff",
    "timestamp": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
}
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def key(asset: str, slot: int) -> EntityKey:
    """Return an entity key as Feast hands it over, its parts in its own order."""
    return EntityKey(join_keys=["slot", "asset_id"], entity_values=[Value(int64_val=slot), Value(string_val=asset)])


@pytest.mark.parametrize("dtype", VALUES)
def test_a_value_survives_feasts_message(dtype: str) -> None:
    """Every supported type; whole seconds for times, because the message holds no more."""
    kind = row_schema(VIEW).field(dtype).type
    column = pa.chunked_array([pa.array([VALUES[dtype], None], kind)])

    there, nothing = proto_values(column, dtype)

    held = python_value(there)
    assert (datetime.fromtimestamp(held / 1e6, tz=UTC) if dtype == "timestamp" else held) == VALUES[dtype]
    assert python_value(nothing) is None


def test_rows_take_the_views_schema() -> None:
    """Values land in their columns, what is not given is null, and a missing created time is the event time."""
    row = {"float64": Value(double_val=1.5), "int64": Value(int64_val=2**53 + 1), "string": Value()}

    table = row_table(
        VIEW, [(key("a", 1), row, MOMENT, None), (key("b", 2), {}, MOMENT, MOMENT + timedelta(seconds=1))]
    )

    assert table.schema == row_schema(VIEW)
    assert table["asset_id"].to_pylist() == ["a", "b"]
    assert table["int64"].to_pylist() == [2**53 + 1, None]
    assert table["known_at"].to_pylist() == [MOMENT, MOMENT + timedelta(seconds=1)]
    assert table["string"].null_count == 2


@pytest.mark.parametrize(
    "moment", [MOMENT, MOMENT.replace(tzinfo=None), MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))]
)
def test_a_moment_is_one_number_whatever_its_zone(moment: datetime) -> None:
    """Naive is UTC; microseconds are exact."""
    assert microseconds(moment) == 1_767_323_045_678_901


def test_times_before_1970_count_backwards() -> None:
    """Devices with a dead clock send them."""
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)) == -999_999


def test_event_times_keep_their_microseconds_in_the_message() -> None:
    """Timestamps of rows have nanoseconds there, those of features have not."""
    there, nothing = proto_times([1_767_323_045_678_901, None])

    assert (there.seconds, there.nanos) == (1_767_323_045, 678_901_000)
    assert (nothing.seconds, nothing.nanos) == (0, 0)


def test_keys_are_found_by_name_not_by_place() -> None:
    """Feast sorts the parts of a key; the view has its own order."""
    table = key_table(VIEW, [key("a", 1), key("b", 2)])

    assert table.to_pydict() == {"asset_id": ["a", "b"], "slot": [1, 2]}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"asset_id": ["a"]}, "keyed by 'slot'"),
        ({"asset_id": ["a"], "slot": [None]}, "slot = None"),
        ({"asset_id": [5], "slot": [1]}, "asset_id = 5 is no string"),
        ({"asset_id": ["a"], "slot": ["1"]}, "slot = '1' is no int64"),
        ({"asset_id": ["a"], "slot": [True]}, "slot = True"),
    ],
)
def test_a_key_that_would_be_another_entity_is_refused(values: dict[str, list[Any]], says: str) -> None:
    """Feast turns 5 into another key and finds nothing."""
    with pytest.raises(InputError, match=says):
        key_columns(VIEW, values)


def test_a_frames_types_do_not_depend_on_its_nulls() -> None:
    """With a null and without: the same dtype, the same integers."""
    whole = frame(pa.table({"n": pa.array([2**53 + 1, 1]), "b": [True, False], "x": [0.5, 1.5]}))
    holed = frame(pa.table({"n": pa.array([2**53 + 1, None]), "b": [True, None], "x": [0.5, None]}))

    assert whole.dtypes.tolist() == holed.dtypes.tolist()
    assert holed["n"].tolist() == [2**53 + 1, pd.NA]
