"""Make block tables from arrays, without a Python object per block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lineshaft.errors import InputError
from lineshaft.specs import BLOCK_SCHEMA, Source

DTYPES: dict[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "f8": np.dtype("<f8")}
"""The sample types a payload may have."""

HEARTBEAT_ASSET = "__heartbeat__"
"""Asset of the blocks that hold no data and only let windows close."""

MINUTE_US = 60_000_000

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
Column = Any  # one value for all blocks, or one a block; None is null


def spans_us(samples: Any, rate_hz: Any) -> Integers:
    """Return how long each block lasts: the vectorised twin of `specs.block_end_us`.

    >>> spans_us(2560, np.array([25600.0])).tolist()
    [100000]
    """
    length: Integers = np.rint(np.asarray(samples, dtype=np.float64) * 1e6 / np.asarray(rate_hz)).astype(np.int64)
    return length


def blocks_table(  # noqa: PLR0913 - one argument a column of the block
    *,
    asset_id: Column,
    starts_us: Any,
    samples: Floats,
    rate_hz: Column,
    position: Column = "",
    dtype: str = "f4",
    known_us: Column = None,
    sequence: Column = 0,
    shaft_hz: Column = None,
    bearing: Column = None,
    full_scale: Column = None,
) -> pa.Table:
    """Return one block for each row of `samples`, an array of (blocks, channels, n).

    Every other argument is one value for all blocks or one value a block. `known_us` unset means that a block was
    known the moment it ended.

    >>> table = blocks_table(asset_id="pump-1", starts_us=[0, 1_000_000], samples=np.ones((2, 1, 4)), rate_hz=4.0)
    >>> table["known_us"].to_pylist(), len(table["payload"][0].as_py())
    ([1000000, 2000000], 16)

    Raises
    ------
    InputError
        If `samples` is not three-dimensional or `dtype` is not one of `DTYPES`.
    """
    if samples.ndim != 3 or dtype not in DTYPES:
        raise InputError(
            f"samples of shape {samples.shape} and dtype {dtype!r} are no blocks",
            fix="give an array of (blocks, channels, n) and a dtype of f4 or f8",
        )
    starts = np.asarray(starts_us, dtype=np.int64)
    if known_us is None:
        known_us = starts + spans_us(samples.shape[2], rate_hz)
    return _table(
        payload=_fixed_payload(samples, DTYPES[dtype]),
        asset_id=asset_id,
        position=position,
        start_us=starts,
        known_us=known_us,
        sequence=sequence,
        rate_hz=rate_hz,
        dtype=dtype,
        shaft_hz=shaft_hz,
        bearing=bearing,
        full_scale=full_scale,
    )


def reading_blocks(
    *,
    asset_id: str,
    ends_us: Integers,
    values: Floats,
    period_us: int,
    position: str = "",
    tile_us: int = MINUTE_US,
    known_us: Integers | None = None,
    sequence: Integers | None = None,
) -> pa.Table:
    """Return blocks of scalar readings, `values` being (readings, channels) in time order, dtype f8.

    A reading stamped t speaks of the period that ends at t. Readings exactly one period apart share a block, but
    no block crosses the end of a tile of `tile_us`, nor a change of `sequence`, nor a receipt more than a period
    after the reading before it.

    >>> ends = np.array([1, 2, 4]) * 1_000_000
    >>> table = reading_blocks(asset_id="a", ends_us=ends, values=np.ones((3, 2)), period_us=1_000_000)
    >>> table["start_us"].to_pylist(), table["known_us"].to_pylist()
    ([0, 3000000], [2000000, 4000000])
    """
    if len(ends_us) == 0:
        return BLOCK_SCHEMA.empty_table()
    known = ends_us if known_us is None else known_us
    numbers = np.zeros_like(ends_us) if sequence is None else sequence
    tiles = -(-ends_us // tile_us)
    fresh = (np.diff(ends_us) != period_us) | (np.diff(tiles) != 0) | (np.diff(numbers) != 0)
    fresh |= np.abs(np.diff(known) - period_us) > period_us
    firsts = np.concatenate([[0], np.flatnonzero(fresh) + 1])
    lasts = np.concatenate([firsts[1:], [len(ends_us)]])
    clean = np.ascontiguousarray(values, dtype=DTYPES["f8"])
    payload = [clean[a:b].T.tobytes() for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True)]
    return _table(
        payload=pa.array(payload, pa.binary()),
        asset_id=asset_id,
        position=position,
        start_us=ends_us[firsts] - period_us,
        known_us=np.maximum.reduceat(known, firsts),
        sequence=numbers[firsts],
        rate_hz=1e6 / period_us,
        dtype="f8",
        shaft_hz=None,
        bearing=None,
        full_scale=None,
    )


def heartbeat_block(*, source: Source, end_us: int, known_us: int | None = None) -> pa.Table:
    """Return one block without data that ends at `end_us`: it says "time has come this far", and no more.

    >>> from lineshaft.sources.catalogue import SOURCES
    >>> heartbeat_block(source=SOURCES["vibration_blocks"], end_us=1_000_000)["asset_id"].to_pylist()
    ['__heartbeat__']
    """
    return blocks_table(
        asset_id=HEARTBEAT_ASSET,
        starts_us=[end_us - 1_000_000],
        samples=np.full((1, len(source.channels), 1), np.nan),
        rate_hz=1.0,
        dtype="f8",
        known_us=end_us if known_us is None else known_us,
    )


def _fixed_payload(samples: Floats, dtype: np.dtype[Any]) -> pa.BinaryArray:
    """Return one binary value a block, all of one length, sharing the array's memory where they can."""
    blocks, channels, n = samples.shape
    width = channels * n * dtype.itemsize
    if blocks * width >= 2**31:
        raise InputError(f"{blocks} blocks of {width} bytes are too many for one table", fix="make several tables")
    data = pa.py_buffer(np.ascontiguousarray(samples, dtype=dtype))
    offsets = pa.py_buffer(np.arange(blocks + 1, dtype=np.int32) * np.int32(width))
    return pa.Array.from_buffers(pa.binary(), blocks, [None, offsets, data])


def _table(*, payload: pa.Array, **columns: Column) -> pa.Table:
    """Return a table of blocks, with single values repeated for every block."""
    rows = len(payload)
    arrays = [
        payload if field.name == "payload" else _column(columns[field.name], field, rows) for field in BLOCK_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=BLOCK_SCHEMA)


def _column(value: Column, field: pa.Field, rows: int) -> pa.Array:
    """Return a column of the field's type from one value or a sequence of values."""
    if value is None:
        return pa.nulls(rows, field.type)
    if isinstance(value, str) or np.ndim(value) == 0:
        return pa.repeat(pa.scalar(value, field.type), rows)
    column = pa.array(value, field.type) if isinstance(value, Sequence) else pa.array(value).cast(field.type)
    if len(column) != rows:
        what = f"{len(column)} values of {field.name} for {rows} blocks"
        raise InputError(what, fix="give one value, or one a block")
    return column
