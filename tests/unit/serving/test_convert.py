"""Columns on the wire: exact, in either direction, whatever their type and wherever they were cut from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.rpc.v1 import types_pb2
from lineshaft.serving import convert
from lineshaft.specs import Status
from lineshaft.specs.rows import ARROW_TYPES

COLUMNS: dict[str, list[Any]] = {
    "float64": [1.5, None, -0.0, float("inf"), 5e-324],
    "float32": [1.5, None, -0.0, float("-inf"), 0.5],
    "int64": [2**53 + 1, None, -(2**63), 2**63 - 1, 0],
    "int32": [1, None, -(2**31), 2**31 - 1, 0],
    "bool": [True, None, False, True, True],
    "string": ["läuft", None, "", "\0", "x" * 300],
    "bytes": [b"\xff", None, b"", b"\0", b"y"],
    "timestamp": [1_700_000_000_123_456, None, -1, 0, 1],
}


@pytest.mark.parametrize("dtype", sorted(COLUMNS))
@pytest.mark.parametrize(("start", "rows"), [(0, 5), (1, 3), (2, 3), (3, 1), (5, 0)])
def test_any_column_crosses_the_wire_exactly(dtype: str, start: int, rows: int) -> None:
    """Every type, with nulls and without, as a whole or cut out of a larger array."""
    column = pa.array(COLUMNS[dtype], ARROW_TYPES[dtype]).slice(start, rows)

    message = types_pb2.Column.FromString(convert.column_to("c", column, None).SerializeToString())
    back = convert.column_from(message, rows)

    back.validate(full=True)
    assert back.equals(column)


@pytest.mark.parametrize("dtype", sorted(COLUMNS))
def test_nothing_lies_under_a_null(dtype: str) -> None:
    """Where validity says null, the values hold NaN, zero or nothing: what is withheld does not leave."""
    secret = pa.array(COLUMNS[dtype][:1] * 3, ARROW_TYPES[dtype])
    masked = pa.compute.if_else(pa.array([False] * 3), secret, pa.scalar(None, secret.type))

    values = convert.column_to("c", masked, None).values

    kind = {"float64": "<f8", "float32": "<f4"}.get(dtype, "u1")
    cells = np.frombuffer(values, kind)
    assert not np.nan_to_num(cells).any()


def test_statuses_are_left_out_where_all_is_present() -> None:
    """No bytes mean PRESENT; a column with anything else carries one byte a row."""
    plain = convert.column_to("a", pa.array([1.0, 2.0]), None)
    mixed = convert.column_to("b", pa.array([1.0, None]), np.array([1, 2], np.int8))

    statuses = convert.statuses_from(["a", "b"], [plain, mixed], 2)

    assert plain.statuses == b""
    assert {name: s.tolist() for name, s in statuses.items()} == {"a": [1, 1], "b": [Status.PRESENT, Status.NULL]}


@pytest.mark.parametrize("dtype", sorted(COLUMNS))
@pytest.mark.parametrize(("start", "rows"), [(0, 5), (1, 3), (2, 3)])
def test_withholding_changes_nothing_that_may_be_seen(dtype: str, start: int, rows: int) -> None:
    """A table whose nulls were emptied underneath is the same table."""
    table = pa.table({"c": pa.array(COLUMNS[dtype], ARROW_TYPES[dtype]).slice(start, rows)})

    emptied = convert.withheld(table)

    emptied.validate(full=True)
    assert emptied.equals(table)


def test_entities_cross_the_wire() -> None:
    """Text and whole-number keys arrive as sent; other types are refused before they are."""
    table = pa.table({"asset_id": ["a", "ü"], "serial": [-1, 2**63 - 1]})

    assert convert.entities_from(convert.entities_to(table)).table.equals(table)
    with pytest.raises(InputError, match="double"):
        convert.entities_to(pa.table({"asset_id": [1.5]}))


def test_a_request_crosses_the_wire() -> None:
    """Texts and whole numbers as keys; fractions, and numbers with nulls, as the data that they are."""
    columns = {
        "asset_id": ["a", "b"],
        "count": [1, 2],
        "load": [0.5, None],
        "steps": [2**53 + 1, None],
        "none": [None] * 2,
    }
    table = pa.table(columns)

    keys, data = convert.request_to(table)
    back = convert.entities_from(keys, data)

    assert list(back.columns) == ["asset_id", "count"]
    assert back.table.equals(table.cast(pa.schema([*list(table.schema)[:4], pa.field("none", pa.float64())])))
    with pytest.raises(InputError, match="bool"):
        convert.request_to(pa.table({"on": [True]}))


def test_entity_columns_of_different_length_are_refused() -> None:
    """A ragged request names the lengths it has."""
    columns = [*convert.entities_to(pa.table({"a": ["x"]})), *convert.entities_to(pa.table({"b": ["x", "y"]}))]

    with pytest.raises(InputError, match="different length"):
        convert.entities_from(columns)


def test_the_strongest_contributions_come_first() -> None:
    """By size whatever the sign; none, some or all of them."""
    parts = np.array([[0.1, -3.0, 2.0], [5.0, 0.0, -5.0]])

    assert convert.strongest(parts, most=2).tolist() == [[1, 2], [0, 2]]
    assert convert.strongest(parts, most=0).shape == (2, 0)
    assert convert.strongest(parts, most=-1).shape == (2, 3)
