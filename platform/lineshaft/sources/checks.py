"""The door of the platform: every block table passes here, and what fails is kept aside with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.errors import InputError
from lineshaft.sources.blocks import DTYPES
from lineshaft.sources.reading import REJECT_SCHEMA, reject_rows
from lineshaft.sources.rules import FutureRule
from lineshaft.sources.waves import WAVE_REASONS, wave_faults
from lineshaft.specs import BLOCK_SCHEMA, Source
from lineshaft.specs.bearings import Bearing

REASONS: dict[str, str] = {
    "missing_field": "a required column is null, or the asset is empty",
    "unknown_dtype": "dtype is neither f4 nor f8",
    "bad_rate": "rate_hz is not finite or not positive",
    "bad_payload": "payload does not hold a whole number of samples of every channel, or holds none",
    "infinite_sample": "a sample is infinite: not measured is NaN",
    "before_history": "the block starts before the first time believed",
    "from_the_future": "the block ends further after its receipt than any clock error explains",
    "bad_shaft": "shaft_hz is negative or not finite",
    "bad_bearing": "bearing is no geometry",
    "bad_full_scale": "full_scale is not finite or not positive: unknown is null",
    **WAVE_REASONS,
}
"""Why a block is rejected, by slug; a block is counted under the first that fits."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]


def validate_blocks(table: pa.Table, source: Source, *, future: FutureRule | None = None) -> tuple[pa.Table, pa.Table]:
    """Split blocks into (good, rejects), order kept; rejects are in `REJECT_SCHEMA`.

    A payload of nothing but NaN is good: it says "not measured", and coverage counts it.

    Raises
    ------
    InputError
        If the table's columns are not those of a block.
    """
    missing = [name for name in BLOCK_SCHEMA.names if name not in table.column_names]
    if missing:
        raise InputError(f"a table for source {source.name!r} lacks {missing}", fix="give the columns of BLOCK_SCHEMA")
    blocks = pa.Table.from_arrays([table[f.name].cast(f.type) for f in BLOCK_SCHEMA], names=BLOCK_SCHEMA.names)
    blocks = blocks.combine_chunks()
    verdict = np.zeros(len(blocks), dtype=np.int8)
    for number, flags in enumerate(_faults(blocks, source, future or FutureRule()), start=1):
        verdict = np.where((verdict == 0) & flags, np.int8(number), verdict)
    if not verdict.any():
        return blocks.cast(BLOCK_SCHEMA), REJECT_SCHEMA.empty_table()
    good = blocks.filter(pa.array(verdict == 0)).cast(BLOCK_SCHEMA)
    return good, _rejects(blocks.filter(pa.array(verdict > 0)), verdict[verdict > 0], source)


def _faults(blocks: pa.Table, source: Source, future: FutureRule) -> list[Flags]:
    """Return one flag a block for each of `REASONS`, in its order."""
    required = [field.name for field in BLOCK_SCHEMA if not field.nullable]
    absent = _any([_flags(pc.is_null(blocks[name])) for name in required])
    absent |= _flags(pc.equal(blocks["asset_id"], ""))
    width = np.select([_flags(pc.equal(blocks["dtype"], name)) for name in DTYPES], [4, 8], default=0)
    rate = _numbers(blocks["rate_hz"], np.nan)
    bad_rate = ~(np.isfinite(rate) & (rate > 0))
    size = _numbers(pc.binary_length(blocks["payload"]), 0).astype(np.int64)
    stride = np.maximum(width, 1) * len(source.channels)
    # as float64, exact to the microsecond until 2255, no time however absurd wraps round to a believable one
    start, known = (_numbers(blocks[name], 0).astype(np.float64) for name in ("start_us", "known_us"))
    with np.errstate(over="ignore"):
        end = start + np.rint(size / stride * 1e6 / np.where(bad_rate, 1.0, rate))
    shaft, scale = _numbers(blocks["shaft_hz"], 0.0), _numbers(blocks["full_scale"], 1.0)
    return [
        absent,
        width == 0,
        bad_rate,
        (size == 0) | (size % stride != 0),
        _infinite(blocks),
        start < future.earliest_us,
        end > known + future.limit_us,
        ~(np.isfinite(shaft) & (shaft >= 0)),
        _bad_bearings(blocks["bearing"]),
        ~(np.isfinite(scale) & (scale > 0)),
        *wave_faults(blocks, source, rates=rate),
    ]


def _any(flags: list[Flags]) -> Flags:
    """Return where at least one flag stands."""
    return np.asarray(np.logical_or.reduce(flags))


def _flags(column: Any) -> Flags:
    """Return a boolean column as an array, null being false."""
    return np.asarray(pc.fill_null(column, fill_value=False).to_numpy(zero_copy_only=False), dtype=bool)


def _numbers(column: Any, default: float) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a numeric column as an array, null being `default`."""
    return np.asarray(pc.fill_null(column, fill_value=pa.scalar(default, column.type)).to_numpy())


def _infinite(blocks: pa.Table) -> Flags:
    """Return which blocks hold an infinite sample; their lengths may still be wrong."""
    flags = np.zeros(len(blocks), dtype=bool)
    for name, dtype in DTYPES.items():
        mine = np.flatnonzero(_flags(pc.equal(blocks["dtype"], name)))
        if len(mine) == 0:
            continue
        payload = blocks["payload"]
        if len(mine) < len(blocks):  # one type in all blocks, as nearly always: no copy of every payload
            payload = payload.take(pa.array(mine))
        if not _suspicious(payload, dtype):
            continue
        for row, value in zip(mine.tolist(), payload, strict=True):
            data = value.as_py() or b""
            whole = len(data) // dtype.itemsize * dtype.itemsize
            flags[row] = bool(np.isinf(np.frombuffer(data[:whole], dtype)).any())
    return flags


def _suspicious(payload: pa.ChunkedArray, dtype: np.dtype[Any]) -> bool:
    """Say whether any chunk may hold an infinite sample; quick where blocks lie aligned, as they nearly always do."""
    for chunk in payload.chunks:
        sizes = pc.binary_length(chunk)
        if chunk.null_count or pc.any(pc.not_equal(pc.bit_wise_and(sizes, dtype.itemsize - 1), 0)).as_py():
            return True
        offsets = np.frombuffer(chunk.buffers()[1], dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        data = np.frombuffer(chunk.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
        if np.isinf(data.view(dtype)).any():
            return True
    return False


def _bad_bearings(column: pa.ChunkedArray) -> Flags:
    """Return which blocks name an impossible bearing; each distinct text is read once."""
    bad = []
    for text in pc.unique(column).to_pylist():
        try:
            Bearing.parse(text) if text is not None else None
        except InputError:
            bad.append(text)
    return _flags(pc.is_in(column, value_set=pa.array(bad, pa.string())))


def _rejects(blocks: pa.Table, verdict: np.ndarray[Any, np.dtype[np.int8]], source: Source) -> pa.Table:
    """Return rejected blocks in `REJECT_SCHEMA`; a payload is told by its length only."""
    slugs = list(REASONS)
    described = blocks.drop_columns(["payload"]).append_column("payload_bytes", pc.binary_length(blocks["payload"]))
    parts = [
        reject_rows(source=source.name, reason=slugs[number - 1], detail=REASONS[slugs[number - 1]], rows=[row])
        for number, row in zip(verdict.tolist(), described.to_pylist(), strict=True)
    ]
    return pa.concat_tables(parts)
