"""The packed row: exact, small, checked, and never a way to crash a reader."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.specs.rows import ARROW_TYPES
from lineshaft.tiles.packed_keys import MOST_BYTES, KeyCodec
from lineshaft.tiles.packing import RowCodec

SOURCE = Source(name="s", channels=("x",), units=("g",))
INT64 = st.integers(-(2**63), 2**63 - 1)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "float64": st.floats(allow_nan=False),
    "float32": st.floats(allow_nan=False, width=32),
    "int64": INT64,
    "int32": st.integers(-(2**31), 2**31 - 1),
    "bool": st.booleans(),
    "string": st.text(max_size=20),
    "bytes": st.binary(max_size=20),
    "timestamp": INT64,
}


def view_of(dtypes: list[str], keys: tuple[tuple[str, str], ...] = (("asset_id", "string"),)) -> View:
    """Return a view with one feature of each type given."""
    features = tuple(Feature(name=f"f{i}", dtype=dtype) for i, dtype in enumerate(dtypes))
    return View(name="v", source=SOURCE, entity_keys=keys, features=features)


@st.composite
def tables(draw: st.DrawFn) -> tuple[View, pa.Table]:
    """Draw a view of any feature types and rows of it, nulls among them."""
    dtypes = draw(st.lists(st.sampled_from(sorted(CELLS)), max_size=12))
    view = view_of(dtypes)
    n = draw(st.integers(0, 8))
    columns = [[f"a{i}" for i in range(n)], *[draw(st.lists(INT64, min_size=n, max_size=n)) for _ in range(2)]]
    columns += [draw(st.lists(st.none() | CELLS[dtype], min_size=n, max_size=n)) for dtype in dtypes]
    schema = row_schema(view)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return view, pa.Table.from_arrays(arrays, schema=schema)


def bits(table: pa.Table) -> list[Any]:
    """Return a table's columns with floats as their bits, so that -0.0 is not 0.0."""
    same_width = {pa.float64(): pa.int64(), pa.float32(): pa.int32(), ARROW_TYPES["timestamp"]: pa.int64()}
    return [
        [
            None if cell is None else raw
            for cell, raw in zip(column.is_valid().to_pylist(), _raw(column, same_width), strict=True)
        ]
        for column in table.columns
    ]


def _raw(column: pa.ChunkedArray, same_width: dict[pa.DataType, pa.DataType]) -> list[Any]:
    whole = column.combine_chunks()
    raw: list[Any] = (whole.view(same_width[whole.type]) if whole.type in same_width else whole).to_pylist()
    return raw


@settings(max_examples=100, deadline=None)
@given(tables())
def test_any_row_comes_back_bit_for_bit(drawn: tuple[View, pa.Table]) -> None:
    """Encoding and decoding rows of any types, with any nulls, is the identity."""
    view, rows = drawn
    codec = RowCodec(view)

    unpacked = codec.decode(codec.encode(rows))

    assert bits(unpacked.rows) == bits(rows.drop_columns(["asset_id"]))
    assert (unpacked.status == Status.PRESENT).all()


@settings(max_examples=30, deadline=None)
@given(tables(), st.integers(1, 4))
def test_batching_does_not_change_a_byte(drawn: tuple[View, pa.Table], batch: int) -> None:
    """Rows encoded one by one, some at a time or all at once give the same bytes."""
    view, rows = drawn
    codec = RowCodec(view)

    parts = [value for at in range(0, rows.num_rows, batch) for value in codec.encode(rows.slice(at, batch))]

    assert parts == codec.encode(rows)


@settings(max_examples=150, deadline=None)
@given(tables(), st.lists(st.none() | st.binary(max_size=80), max_size=5), st.booleans())
def test_no_bytes_can_make_the_reader_raise(
    drawn: tuple[View, pa.Table], noise: list[bytes | None], sealed: bool
) -> None:
    """Any bytes, even with a right checksum, header and schema, are answered with a status."""
    view, rows = drawn
    codec = RowCodec(view)
    head = bytes([0xB1]) + codec.schema_id.to_bytes(4, "little")
    if sealed:
        bodies = [head + (value or b"") for value in noise]
        noise = [body + zlib.crc32(body).to_bytes(4, "little") for body in bodies]

    unpacked = codec.decode([*noise, *codec.encode(rows)])

    assert len(unpacked.status) == len(noise) + rows.num_rows == unpacked.rows.num_rows
    assert set(unpacked.status[: len(noise)].tolist()) <= {Status.PRESENT, Status.NOT_FOUND, Status.CORRUPT}
    assert (unpacked.status[len(noise) :] == Status.PRESENT).all()
    unpacked.rows.validate(full=True)


@settings(max_examples=100, deadline=None)
@given(tables().filter(lambda drawn: drawn[1].num_rows > 0), st.integers(0, 10**9))
def test_one_flipped_bit_is_found(drawn: tuple[View, pa.Table], where: int) -> None:
    """Whatever bit of a stored row flips, the row is CORRUPT and its cells are null."""
    view, rows = drawn
    codec = RowCodec(view)
    value = bytearray(codec.encode(rows)[0])
    place = where % (8 * len(value))
    value[place // 8] ^= 1 << place % 8

    unpacked = codec.decode([bytes(value)])

    assert unpacked.status.tolist() == [Status.CORRUPT]
    assert all(column.null_count == 1 for column in unpacked.rows.columns)


def test_sixty_features_take_little_more_than_their_own_bytes() -> None:
    """60 float64 are 480 bytes; packed, with times, schema and checksum, at most 1.25 times that, nulls or none."""
    view = view_of(["float64"] * 60)
    rows = [["a", "b"], [1, 2], [3, 4], *[[1.5, None] for _ in range(60)]]
    table = pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(rows, row_schema(view), strict=True)], schema=row_schema(view)
    )

    sizes = {len(value) for value in RowCodec(view).encode(table)}

    assert sizes == {480 + 25}


def test_every_nan_is_stored_alike() -> None:
    """NaNs of different sign and payload give the same bytes, so that equal rows have equal digests."""
    view = view_of(["float64"])
    payloads = np.array([0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001], np.uint64).view(np.float64)
    columns = [pa.array(["a"] * 3), *[pa.array([1] * 3).cast(ARROW_TYPES["timestamp"])] * 2, pa.array(payloads)]

    values = RowCodec(view).encode(pa.Table.from_arrays(columns, schema=row_schema(view)))

    assert len(set(values)) == 1


def test_text_that_is_no_text_is_corrupt() -> None:
    """Bytes that pass the checksum but are no UTF-8 do not reach a caller."""
    texts, raws = view_of(["string"]), view_of(["bytes"])
    times = [pa.array([1]).cast(ARROW_TYPES["timestamp"])] * 2
    raw = pa.Table.from_arrays([pa.array(["a"]), *times, pa.array([b"\xff\xfe"])], schema=row_schema(raws))
    codec = RowCodec(texts)
    body = bytearray(RowCodec(raws).encode(raw)[0][:-4])
    body[1:5] = codec.schema_id.to_bytes(4, "little")

    unpacked = codec.decode([bytes(body) + zlib.crc32(body).to_bytes(4, "little")])

    assert unpacked.status.tolist() == [Status.CORRUPT]
    assert unpacked.rows["f0"].to_pylist() == [None]
    assert unpacked.rows["event_time"].null_count == 1


KEY_TYPES = {"string": st.text(), "bytes": st.binary(), "int64": INT64, "int32": CELLS["int32"], "bool": st.booleans()}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=4), st.data())
def test_different_keys_have_different_bytes(dtypes: list[str], data: st.DataObject) -> None:
    """Keys of any types come back from their bytes, so no two of them share any."""
    keys = tuple((f"k{i}", dtype) for i, dtype in enumerate(dtypes))
    codec = KeyCodec(view_of([], keys))
    rows = data.draw(st.lists(st.tuples(*[KEY_TYPES[dtype] for dtype in dtypes]), min_size=1, max_size=5))
    columns = list(zip(*rows, strict=True))
    table = pa.table({name: pa.array(c, ARROW_TYPES[dtype]) for (name, dtype), c in zip(keys, columns, strict=True)})

    encoded = codec.encode(table)

    assert codec.decode(encoded).to_pydict() == table.to_pydict()
    assert len(set(encoded)) == len(set(rows))


def test_keys_have_a_limit() -> None:
    """What was read is remembered by its key, so nobody may name an entity by a novel."""
    codec = KeyCodec(view_of([], (("asset_id", "string"), ("slot", "int64"))))
    (most,) = codec.encode(pa.table({"asset_id": ["x" * (MOST_BYTES - 10)], "slot": [1]}))
    assert len(most) == MOST_BYTES

    with pytest.raises(InputError, match=f"take {MOST_BYTES + 1} bytes"):
        codec.encode(pa.table({"asset_id": ["p", "x" * (MOST_BYTES - 9)], "slot": [1, 2]}))
