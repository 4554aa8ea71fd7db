"""Between Arrow and NumPy by way of their buffers.

pyarrow's own ways (`pa.array` of Python values, `to_numpy`, `np.asarray`) look for pandas and load it where it is
installed: a second or two, and forty megabytes, in the middle of a server's first answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def one_piece(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, copied only where it lies in pieces.

    >>> one_piece(pa.chunked_array([[1], [2]])).to_pylist()
    [1, 2]
    """
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def repeated(value: np.generic, *shape: int) -> NDArray[Any]:
    """Return an array of one value throughout, that takes no memory and cannot be written to.

    >>> repeated(np.int8(3), 2, 2).tolist()
    [[3, 3], [3, 3]]
    """
    return np.ndarray(shape, value.dtype, value.tobytes(), 0, (0,) * len(shape))


def is_valid(column: pa.Array) -> NDArray[np.bool_]:
    """Return which values of an array are there.

    >>> is_valid(pa.array([1, None, 3]).slice(1)).tolist()
    [False, True]
    """
    if not column.null_count:
        return np.ones(len(column), bool)
    bits = column.buffers()[0]
    return np.zeros(len(column), bool) if bits is None else _bits(bits, column.offset, len(column))


def truths(column: pa.Array) -> NDArray[np.bool_]:
    """Return the values of an array of booleans; what lies under a null is not defined.

    >>> truths(pa.array([True, False, True]).slice(1)).tolist()
    [False, True]
    """
    return _bits(column.buffers()[1], column.offset, len(column)) if len(column) else np.zeros(0, bool)


def truth_array(values: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return booleans as an Arrow array, null where they are not `valid`.

    >>> truth_array(np.array([True, False]), np.array([True, False])).to_pylist()
    [True, None]
    """
    return pa.Array.from_buffers(
        pa.bool_(), len(values), [_packed(valid), pa.py_buffer(np.packbits(values, bitorder="little"))]
    )


def byte_array(values: Sequence[bytes | None]) -> pa.Array:
    """Return bytes as an Arrow array.

    >>> byte_array([b"a", None, b"bc"]).to_pylist()
    [b'a', None, b'bc']
    """
    return _cut(pa.binary(), [b"" if value is None else value for value in values], values)


def text_array(values: Sequence[str | None]) -> pa.Array:
    """Return texts as an Arrow array.

    >>> text_array(["a", None, "läuft"]).to_pylist()
    ['a', None, 'läuft']
    """
    return _cut(pa.string(), [b"" if value is None else value.encode() for value in values], values)


def blank(kind: pa.DataType) -> pa.Scalar:
    """Return what may lie under a null of a type: NaN, zero, or an empty text.

    >>> blank(pa.float32()), blank(pa.string()), blank(pa.int64())
    (<pyarrow.FloatScalar: nan>, <pyarrow.StringScalar: ''>, <pyarrow.Int64Scalar: 0>)
    """
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _cut(kind, [b""], [""])[0]
    nothing = np.array([np.nan], f"<f{kind.bit_width // 8}") if pa.types.is_floating(kind) else np.zeros(8, np.uint8)
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(nothing)])[0]


def number_array(values: Sequence[float | None]) -> pa.Array:
    """Return whole numbers as int64, others as float64; raises `OverflowError` for what takes more than 64 bits.

    >>> number_array([1, None]).type, number_array([1, 0.5, None]).to_pylist()
    (DataType(int64), [1.0, 0.5, None])
    """
    whole = all(value is None or isinstance(value, int) for value in values)
    cells = np.array([0 if value is None else value for value in values], np.int64 if whole else np.float64)
    valid = np.array([value is not None for value in values], bool)
    kind = pa.int64() if whole else pa.float64()
    return pa.Array.from_buffers(kind, len(cells), [_packed(valid), pa.py_buffer(cells)])


def _cut(kind: pa.DataType, raw: Sequence[bytes], values: Sequence[object]) -> pa.Array:
    """Return an array of pieces of one run of bytes, null where `values` holds nothing."""
    ends = np.zeros(len(raw) + 1, "<i4")
    np.cumsum([len(cell) for cell in raw], out=ends[1:])
    valid = np.array([value is not None for value in values], bool)
    return pa.Array.from_buffers(kind, len(raw), [_packed(valid), pa.py_buffer(ends), pa.py_buffer(b"".join(raw))])


def _packed(valid: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _bits(buffer: pa.Buffer, offset: int, n: int) -> NDArray[np.bool_]:
    raw = np.frombuffer(buffer, np.uint8)
    return np.unpackbits(raw, bitorder="little", count=offset + n)[offset:].astype(bool)
