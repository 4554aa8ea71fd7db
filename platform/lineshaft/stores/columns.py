"""Columns filled in any order, row group by row group, and turned into Arrow without touching single cells."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.tiles.buffers import one_piece

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FIXED: dict[pa.DataType, Any] = {
    pa.float64(): np.float64,
    pa.float32(): np.float32,
    pa.int64(): np.int64,
    pa.int32(): np.int32,
    pa.bool_(): np.uint8,
    pa.timestamp("us", tz="UTC"): np.int64,
}
_LOOSE_BYTES = 64  # what a string is taken to weigh when memory is planned


class Column(Protocol):
    """One column of answers, filled in any order."""

    def put(self, cells: pa.ChunkedArray, *, take: Ints, to: Ints) -> None:
        """Set the answers `to` to the cells `take`."""
        ...

    def finish(self, missing: Mask) -> pa.Array:
        """Return the column, null where an answer is missing or its cell was null."""
        ...


def column_for(dtype: pa.DataType, size: int) -> Column:
    """Return an empty column of `size` answers."""
    return _Fixed(dtype, size) if dtype in _FIXED else _Loose(dtype, size)


def width(dtype: pa.DataType) -> int:
    """Return about how many bytes one answer takes."""
    return np.dtype(_FIXED[dtype]).itemsize if dtype in _FIXED else _LOOSE_BYTES


class _Fixed:
    """Cells of one width: a NumPy array, and a mask once a null turns up. Integers are never seen as floats."""

    def __init__(self, dtype: pa.DataType, size: int) -> None:
        self._dtype = dtype
        self._values = np.zeros(size, _FIXED[dtype])
        self._null: Mask | None = None

    def put(self, cells: pa.ChunkedArray, *, take: Ints, to: Ints) -> None:
        cell = one_piece(cells)
        if cell.null_count:
            null = cell.is_null().to_numpy(zero_copy_only=False)[take]
            if self._null is None:
                self._null = np.zeros(len(self._values), np.bool_)
            self._null[to] = null
        if pa.types.is_boolean(self._dtype):
            cell = cell.cast(pa.uint8())
        values = np.frombuffer(cell.buffers()[1], self._values.dtype, len(cell) + cell.offset)[cell.offset :]
        self._values[to] = values[take]

    def finish(self, missing: Mask) -> pa.Array:
        null = missing if self._null is None else missing | self._null
        if pa.types.is_boolean(self._dtype):
            return pa.array(self._values.view(np.bool_), mask=null)
        bits = pa.py_buffer(np.packbits(~null, bitorder="little")) if null.any() else None
        return pa.Array.from_buffers(self._dtype, len(self._values), [bits, pa.py_buffer(self._values)])


class _Loose:
    """Cells of any width: pieces as they came, put in order once at the end."""

    def __init__(self, dtype: pa.DataType, size: int) -> None:
        self._dtype, self._place = dtype, np.zeros(size, np.int64)
        self._pieces: list[pa.Array] = []
        self._count = 0

    def put(self, cells: pa.ChunkedArray, *, take: Ints, to: Ints) -> None:
        self._pieces.append(one_piece(cells).take(pa.array(take)))
        self._place[to] = self._count + np.arange(len(to))
        self._count += len(to)

    def finish(self, missing: Mask) -> pa.Array:
        cells = pa.chunked_array(self._pieces, self._dtype)
        return one_piece(cells.take(pa.array(self._place, mask=missing)))
