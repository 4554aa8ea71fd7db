"""Entity keys as bytes: short, unambiguous, and read back without asking anybody.

Integers and timestamps take 8 bytes (int32 and bool 4 and 1), big-endian with the sign bit flipped. A string or bytes
key is its own bytes; when another key follows, its length stands before it as a varint. The types are fixed by the
view, whose reference is part of the store's key, so no type has to be written.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.specs import View, entity_columns
from lineshaft.tiles.keys import Keys, table_of

_WIDTHS = {"int64": 8, "timestamp": 8, "int32": 4, "bool": 1}
_TEXT = ("string", "bytes")
MOST_BYTES = 1000
"""Most bytes of an entity's keys: what is read is remembered, and nobody may fill the memory with names."""


class KeyCodec:
    """Turn the join keys of one view into bytes and back.

    Equal bytes mean equal keys and the other way round. Raises `InputError` for null keys and for key types that
    have no exact equality (floats).
    """

    def __init__(self, view: View) -> None:
        self.view = view
        refused = [name for name, dtype in view.entity_keys if dtype not in _WIDTHS and dtype not in _TEXT]
        if refused or not view.entity_keys:
            raise InputError(
                f"view {view.name} cannot be keyed by {', '.join(refused) or 'nothing'}",
                where=view.where,
                fix="use string, bytes, int64, int32, bool or timestamp keys, one at least",
            )
        self._fields = entity_columns(view)
        self._varies = any(dtype in _TEXT for _, dtype in view.entity_keys)

    def encode(self, keys: pa.Table | Keys) -> list[bytes]:
        """Return one byte string a row of `keys` (other columns are ignored)."""
        parts: list[list[bytes]] = []
        last = len(self._fields) - 1
        plain = keys.columns if isinstance(keys, Keys) and keys.fit(self.view.entity_keys) else {}
        for i, (field, (name, dtype)) in enumerate(zip(self._fields, self.view.entity_keys, strict=True)):
            given = plain.get(name)
            if dtype in _TEXT:
                texts = cast("Sequence[str] | None", given)
                raw = _texts(self._column(keys, field)) if texts is None else list(map(str.encode, texts))
                parts.append(raw if i == last else [varint(len(cell)) + cell for cell in raw])
            elif isinstance(given, np.ndarray):
                parts.append(_flipped(given, 8))
            else:
                parts.append(_fixed(self._column(keys, field), _WIDTHS[dtype]))
        whole = parts[0] if len(parts) == 1 else [b"".join(cells) for cells in zip(*parts, strict=True)]
        if self._varies and max(map(len, whole), default=0) > MOST_BYTES:
            longest = max(map(len, whole))
            what = f"an entity's keys take {longest} bytes; {MOST_BYTES} is the most"
            raise InputError(what, where=self.view.ref, fix="name entities by short texts")
        return whole

    def _column(self, given: pa.Table | Keys, field: pa.Field) -> pa.Array:
        keys = table_of(given)
        if field.name not in keys.column_names:
            raise InputError(
                f"entity key {field.name} of view {self.view.name} is not given",
                fix=f"give {', '.join(f.name for f in self._fields)}",
            )
        column = keys[field.name]
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        if column.null_count:
            raise InputError(f"entity key {field.name} of view {self.view.name} is null", fix="drop rows without a key")
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except pa.ArrowInvalid as error:
                raise InputError(
                    f"entity key {field.name} is {column.type} and cannot be read as {field.type}",
                    fix=f"send {field.type}",
                ) from error
        return column

    def decode(self, encoded: Sequence[bytes]) -> pa.Table:
        """Return the table of join keys that these bytes came from."""
        columns: list[list[bytes]] = [[] for _ in self._fields]
        last = len(self._fields) - 1
        for key in encoded:
            at = 0
            for i, (_, dtype) in enumerate(self.view.entity_keys):
                if dtype in _TEXT:
                    size, at = (len(key) - at, at) if i == last else _read_varint(key, at)
                else:
                    size = _WIDTHS[dtype]
                columns[i].append(key[at : at + size])
                at += size
        types = [dtype for _, dtype in self.view.entity_keys]
        arrays = [_restored(cells, f.type, dtype) for cells, f, dtype in zip(columns, self._fields, types, strict=True)]
        return pa.Table.from_arrays(arrays, schema=pa.schema(self._fields))


def _texts(column: pa.Array) -> list[bytes]:
    """Return the bytes of each text, cut from the array's own buffers: a tenth of what a cast and a list cost."""
    if not len(column):
        return []
    _, ends, data = column.buffers()
    offsets = np.frombuffer(ends, "<i4", len(column) + 1, 4 * column.offset).tolist()
    first = offsets[0]
    raw: bytes = data.slice(first, offsets[-1] - first).to_pybytes() if data is not None else b""
    width = offsets[1] - first
    if width and len(raw) == width * len(column) and offsets == list(range(first, offsets[-1] + 1, width)):
        return list(chain.from_iterable(struct.iter_unpack(f"{width}s", raw)))
    return [raw[a - first : b - first] for a, b in pairwise(offsets)]


def _fixed(column: pa.Array, width: int) -> list[bytes]:
    """Return integers as big-endian bytes that sort like the numbers."""
    if width == 1:
        return [b"\x01" if cell else b"\x00" for cell in column.to_pylist()]
    numbers = column.cast(pa.int64() if width == 8 else pa.int32()).to_numpy(zero_copy_only=False)
    return _flipped(numbers, width)


def _flipped(numbers: NDArray[Any], width: int) -> list[bytes]:
    raw = (numbers.view(f"u{width}") ^ _flip(width)).astype(f">u{width}").tobytes()
    return [raw[at : at + width] for at in range(0, len(raw), width)]


def _flip(width: int) -> NDArray[Any]:
    return np.array(1 << (8 * width - 1), f"u{width}")


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    r"""Return a whole number of 0 or more, seven bits a byte, the least first.

    >>> varint(5), varint(300)
    (b'\x05', b'\xac\x02')
    """
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _restored(cells: list[bytes], kind: pa.DataType, dtype: str) -> pa.Array:
    if dtype in _TEXT:
        return pa.array(cells, pa.binary()).cast(kind)
    width = _WIDTHS[dtype]
    if width == 1:
        return pa.array([cell == b"\x01" for cell in cells], kind)
    raw = np.frombuffer(b"".join(cells), f">u{width}").astype(f"u{width}")
    numbers = (raw ^ _flip(width)).view(f"i{width}")
    return pa.array(numbers).cast(kind)
