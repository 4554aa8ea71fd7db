"""What travels between operators, as bytes: blocks made into tiles, and rows made out of them.

One element carries many blocks (all of one entity in one batch) or many rows, because a record costs Flink's Python
side tens of microseconds whatever its size.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import CorruptError

WHERE = "lineshaft_flink.packing"
ROWS_PER_ELEMENT = 4096

_HEAD = struct.Struct("<4sIIII")  # magic, blocks, width, bytes of the key, bytes of the rejects
_TILES_MAGIC = b"LST2"
_ROWS = struct.Struct("<4sII")
_ROWS_MAGIC = b"LSR1"

REJECTS = "rejects"
"""Stands where a view's reference stands, in elements that carry refused blocks."""

Reject = tuple[str, str, int, int, str]
"""A block that makes no row: asset, position, start_us, known_us, reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiledBlocks:
    """Blocks of one entity after `prepare`: n blocks, the tiles of all views of the feed side by side.

    key: the entity's join keys as JSON; times: int64 (5, n): start, end, sequence, known, lane;
    tiles: float64 (n, width); rejects: refused blocks of the batch, whosever they are.
    """

    key: str
    times: NDArray[np.int64]
    tiles: NDArray[np.float64]
    rejects: Sequence[Reject] = ()

    def to_bytes(self) -> bytes:
        """Pack it, little endian."""
        key = self.key.encode()
        refused = json.dumps(list(self.rejects)).encode() if self.rejects else b""
        head = _HEAD.pack(_TILES_MAGIC, self.times.shape[1], self.tiles.shape[1], len(key), len(refused))
        times = np.ascontiguousarray(self.times, dtype="<i8").tobytes()
        tiles = np.ascontiguousarray(self.tiles, dtype="<f8").tobytes()
        return b"".join([head, key, refused, times, tiles])

    @staticmethod
    def from_bytes(packed: bytes) -> TiledBlocks:
        """Unpack `to_bytes`; the arrays are views of the bytes given.

        Raises `CorruptError` for bytes of another kind, or cut off.
        """
        if len(packed) < _HEAD.size or packed[:4] != _TILES_MAGIC:
            raise CorruptError("an element of the job is not packed tiles", where=WHERE)
        _, n, width, key_size, refused_size = _HEAD.unpack_from(packed)
        _whole(packed, _HEAD.size + key_size + refused_size + n * (40 + 8 * width))
        at = _HEAD.size + key_size
        refused = json.loads(packed[at : at + refused_size]) if refused_size else []
        at += refused_size
        times = np.frombuffer(packed, dtype="<i8", count=5 * n, offset=at).reshape(5, n)
        at += times.nbytes
        tiles = np.frombuffer(packed, dtype="<f8", count=n * width, offset=at).reshape(n, width)
        key = packed_key(packed)
        return TiledBlocks(key=key, times=times, tiles=tiles, rejects=[tuple(r) for r in refused])


def _whole(packed: bytes, size: int) -> None:
    """Refuse bytes that are fewer, or more, than their head says."""
    if len(packed) != size:
        raise CorruptError(f"an element of the job has {len(packed)} bytes, not {size}", where=WHERE)


def packed_key(packed: bytes) -> str:
    """Return the entity of packed tiles without unpacking the rest."""
    size = _HEAD.unpack_from(packed)[3]
    return bytes(packed[_HEAD.size : _HEAD.size + size]).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBatch:
    """Rows of one entity of one view: tick_us, known_us int64 (n,), values float64 (n, features), NaN undefined."""

    tick_us: NDArray[np.int64]
    known_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.tick_us)

    def to_bytes(self) -> bytes:
        """Pack it, little endian; NaN keeps its bits."""
        head = _ROWS.pack(_ROWS_MAGIC, len(self.tick_us), self.values.shape[1])
        times = np.stack([self.tick_us, self.known_us]).astype("<i8", copy=False)
        return b"".join([head, times.tobytes(), np.ascontiguousarray(self.values, dtype="<f8").tobytes()])

    @staticmethod
    def from_bytes(packed: bytes) -> RowBatch:
        """Unpack `to_bytes`.

        Raises `CorruptError` for bytes of another kind, or cut off.
        """
        if len(packed) < _ROWS.size or packed[:4] != _ROWS_MAGIC:
            raise CorruptError("an element of the job is not packed rows", where=WHERE)
        _, n, width = _ROWS.unpack_from(packed)
        _whole(packed, _ROWS.size + n * (16 + 8 * width))
        times = np.frombuffer(packed, dtype="<i8", count=2 * n, offset=_ROWS.size).reshape(2, n)
        values = np.frombuffer(packed, dtype="<f8", count=n * width, offset=_ROWS.size + times.nbytes)
        return RowBatch(tick_us=times[0], known_us=times[1], values=values.reshape(n, width))

    def rows(self, which: Any) -> RowBatch:
        """Return some of its rows: a slice, a mask or row numbers."""
        return RowBatch(tick_us=self.tick_us[which], known_us=self.known_us[which], values=self.values[which])

    def chunks(self, size: int = ROWS_PER_ELEMENT) -> list[RowBatch]:
        """Cut it into elements of at most `size` rows."""
        return [self.rows(slice(at, at + size)) for at in range(0, len(self), size)]

    def newest(self) -> RowBatch:
        """Return its newest row by (tick, known)."""
        return self.rows(np.lexsort((self.known_us, self.tick_us))[-1:])
