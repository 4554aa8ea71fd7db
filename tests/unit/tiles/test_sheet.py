"""The two faces of a sheet hold the same bits, and an answer is the same whichever face it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.specs.rows import ARROW_TYPES
from lineshaft.tiles.answer import answer_view
from lineshaft.tiles.packing import RowCodec
from lineshaft.tiles.sheet import Sheet

CELLS: dict[str, list[Any]] = {
    "float64": [1.5, None, -0.0, float("inf"), 5e-324],
    "float32": [1.5, None, -0.0, float("-inf"), 0.5],
    "int64": [2**53 + 1, None, -(2**63), 2**63 - 1, 0],
    "int32": [1, None, -(2**31), 2**31 - 1, 0],
    "bool": [True, None, False, True, True],
    "string": ["läuft", None, "", "\0", "x" * 300],
    "bytes": [b"\xff", None, b"", b"\0", b"y"],
    "timestamp": [1_700_000_000_123_456, None, -1, 0, 1],
}
VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(Feature(name=f"{dtype}_{i}", dtype=dtype) for i in range(2) for dtype in CELLS),
    ttl_us=100,
)


def rows() -> pa.Table:
    """Return five rows with every type twice, in an order that puts no two of one type together."""
    columns = [list("abcde"), [0, 10, 20, 30, 40], [1, 11, 21, 31, 41], *[CELLS[f.dtype] for f in VIEW.features]]
    schema = row_schema(VIEW)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def rebuilt(sheet: Sheet) -> pa.Table:
    """Return a sheet's table as made from its blocks."""
    return Sheet(names=sheet.names, rows=sheet.rows, parts=sheet.parts).table


@pytest.mark.parametrize(("start", "size"), [(0, 5), (1, 3), (2, 2), (4, 1), (5, 0)])
def test_a_table_taken_apart_and_put_together_is_the_same(start: int, size: int) -> None:
    """Every type, with nulls and without, as a whole, cut out, or in several chunks."""
    part = rows().slice(start, size).select(VIEW.feature_names)
    chunked = pa.concat_tables([part.slice(0, 1), part.slice(1)])

    for table in (part, chunked):
        again = rebuilt(Sheet.of(table))
        again.validate(full=True)
        assert again.equals(table)


@pytest.mark.parametrize("features", [VIEW.feature_names, ("int64_1", "float64_0"), ("float64_1", "float64_0"), ()])
def test_packed_rows_and_tables_are_answered_alike(features: tuple[str, ...]) -> None:
    """What comes from stored bytes gets the values and statuses that the same rows as a table get."""
    stored = rows()
    codec = RowCodec(VIEW)
    values: list[bytes | None] = list(codec.encode(stored))
    values[0], values[2] = None, b"noise"
    unpacked = codec.decode(values, features)
    at_us = np.array([50, 50, 50, 50, 200])  # the last one is stale
    assert set(ARROW_TYPES) == set(CELLS)

    packed = answer_view(VIEW, features, unpacked.sheet, unpacked.status, at_us)
    plain = answer_view(VIEW, features, stored, unpacked.status, at_us)

    assert packed.columns.equals(plain.columns)
    assert packed.status.tolist() == plain.status.tolist()
    assert packed.age_us["v"].tolist() == plain.age_us["v"].tolist() == [-1, 40, -1, 20, 160]
    assert set(packed.status[4].tolist()) <= {Status.STALE}
