"""Where the columns of a packed row lie: grouped by width, so that a group of all rows is one matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

HEADER = np.dtype([("format", "u1"), ("schema", "<u4"), ("event", ">u8"), ("known", ">u8")])
"""What every row begins with."""
NO_LENGTH = 0xFFFFFFFF
NO_BOOL = 2
_GROUPS = (
    ("float64", "<f8", ("float64",)),
    ("int64", "<i8", ("int64", "timestamp")),
    ("float32", "<f4", ("float32",)),
    ("int32", "<i4", ("int32",)),
    ("length", "<u4", ("string", "bytes")),
    ("bool", "u1", ("bool",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Columns of one width, side by side in every row."""

    kind: str
    dtype: np.dtype[Any]
    start: int
    names: tuple[str, ...]
    bit: int  # of its first column among the null bits; only integers have any

    @property
    def stop(self) -> int:
        """Return the byte after its last."""
        return self.start + self.dtype.itemsize * len(self.names)


def lay_out(types: dict[str, str]) -> tuple[list[Group], int]:
    """Group columns by width; return the blocks and how many null bits a row has."""
    blocks: list[Group] = []
    at, bits = HEADER.itemsize, 0
    for kind, code, dtypes in _GROUPS:
        names = tuple(name for name, dtype in types.items() if dtype in dtypes)
        if not names:
            continue
        block = Group(kind=kind, dtype=np.dtype(code), start=at, names=names, bit=bits)
        blocks.append(block)
        at = block.stop
        bits += len(names) if block.dtype.kind == "i" else 0
    return blocks, bits
