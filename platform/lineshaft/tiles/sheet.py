"""Rows of named columns with two faces: matrices to compute with, an Arrow table to hand out.

Columns of numbers that came together stay together, as one matrix with one contiguous run a column; a request of 60
features costs a few array operations, not 60 of each. Arrow columns are built when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.specs.rows import ARROW_TYPES
from lineshaft.tiles.buffers import is_valid, truths

CODES: Mapping[str, str] = {
    "float64": "<f8",
    "float32": "<f4",
    "int64": "<i8",
    "int32": "<i4",
    "timestamp": "<i8",
}
"""Types whose columns lie in blocks, with their NumPy codes; the others are Arrow arrays throughout."""
_BY_ID = {ARROW_TYPES[dtype].id: dtype for dtype in CODES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Columns of one type: `values` (k x n) and, unless all are there, `valid` (k x n bool).

    `places` says where each of the k columns stands in its sheet. What lies under a null is not defined.
    """

    dtype: str
    places: tuple[int, ...]
    values: NDArray[Any]
    valid: NDArray[np.bool_] | None = None

    def arrays(self) -> list[pa.Array]:
        """Return the columns as Arrow arrays, without copying values."""
        k, n = self.values.shape
        kind = ARROW_TYPES[self.dtype]
        if self.valid is None:  # cut from one array: quicker than one made for each column
            every = pa.Array.from_buffers(kind, k * n, [None, pa.py_buffer(self.values)])
            return [every.slice(j * n, n) for j in range(k)]
        bits = np.ascontiguousarray(np.packbits(self.valid, axis=1, bitorder="little"))
        absent = n - self.valid.sum(axis=1)
        return [
            pa.Array.from_buffers(
                kind, n, [pa.py_buffer(bits[j]) if absent[j] else None, pa.py_buffer(self.values[j])], int(absent[j])
            )
            for j in range(k)
        ]

    def withheld(self, keep: NDArray[np.bool_]) -> Self:
        """Return the same columns with only the cells in `keep` (k x n); NaN or zero under the others."""
        empty = np.array(np.nan if self.values.dtype.kind == "f" else 0, self.values.dtype)
        values = np.ascontiguousarray(np.where(keep, self.values, empty))
        return type(self)(dtype=self.dtype, places=self.places, values=values, valid=keep)

    def moved(self, by: int) -> Self:
        """Return the same columns, so many places further on."""
        places = tuple([place + by for place in self.places])
        return type(self)(dtype=self.dtype, places=places, values=self.values, valid=self.valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The columns of a sheet: in blocks, and the Arrow arrays that are in none, by place."""

    blocks: Sequence[Block]
    loose: Mapping[int, pa.Array] = field(default_factory=dict)


class Sheet:
    """n rows of named columns. Either face is made from the other at its first use; both hold the same bits."""

    __slots__ = ("_parts", "_table", "names", "rows")

    def __init__(self, *, names: tuple[str, ...], rows: int, parts: Parts) -> None:
        self.names = names
        self.rows = rows
        self._parts: Parts | None = parts
        self._table: pa.Table | None = None

    @classmethod
    def of(cls, rows: pa.Table | Sheet) -> Sheet:
        """Return a sheet with the columns of a table; a sheet is returned as it is."""
        if isinstance(rows, Sheet):
            return rows
        sheet = cls.__new__(cls)
        sheet.names, sheet.rows = tuple(rows.column_names), rows.num_rows
        sheet._table, sheet._parts = rows, None  # noqa: SLF001 - its own class
        return sheet

    @property
    def parts(self) -> Parts:
        """Return the columns as blocks."""
        if self._parts is None:
            self._parts = _taken_apart(self.table.columns)
        return self._parts

    @property
    def table(self) -> pa.Table:
        """Return the columns as an Arrow table."""
        if self._table is None:
            self._table = pa.Table.from_arrays(self._arrays(), names=list(self.names))
        return self._table

    def column(self, place: int) -> pa.ChunkedArray:
        """Return one column as Arrow has it."""
        return self.table.column(place)

    def pick(self, names: Sequence[str]) -> Sheet:
        """Return the columns named, in that order."""
        wanted = tuple(names)
        if self._parts is None or self.names[-len(wanted) :] != wanted:
            return Sheet.of(self.table.select(list(wanted)))
        first = len(self.names) - len(wanted)
        kept = [block for block in self._parts.blocks if block.places[-1] >= first]
        if any(block.places[0] < first for block in kept):
            return Sheet.of(self.table.select(list(wanted)))
        loose = {place - first: array for place, array in self._parts.loose.items() if place >= first}
        parts = Parts(blocks=[block.moved(-first) for block in kept], loose=loose)
        return Sheet(names=wanted, rows=self.rows, parts=parts)

    def part(self, start: int, stop: int) -> Sheet:
        """Return the columns from `start` on, `stop` left out."""
        blocks = []
        for block in self.parts.blocks:
            own = [j for j, place in enumerate(block.places) if start <= place < stop]
            if own:
                valid = block.valid[own] if block.valid is not None else None
                places = tuple(block.places[j] - start for j in own)
                blocks.append(Block(dtype=block.dtype, places=places, values=block.values[own], valid=valid))
        loose = {place - start: array for place, array in self.parts.loose.items() if start <= place < stop}
        return Sheet(names=self.names[start:stop], rows=self.rows, parts=Parts(blocks=blocks, loose=loose))

    def floats(self, place: int) -> NDArray[np.float64]:
        """Return a column of numbers or truths as float64, NaN under a null."""
        for block in self.parts.blocks:
            if place in block.places:
                at = block.places.index(place)
                values = block.values[at].astype(np.float64)
                return values if block.valid is None else np.where(block.valid[at], values, np.nan)
        column = self.parts.loose[place]
        return np.where(is_valid(column), truths(column), np.nan)

    def integers(self, name: str) -> NDArray[np.int64]:
        """Return a column of times or int64, 0 under a null."""
        place = self.names.index(name)
        if self._parts is None:
            column = self.column(place).cast(pa.int64())
            return np.asarray(column.fill_null(0).to_numpy() if column.null_count else column.to_numpy(), np.int64)
        block = next(block for block in self._parts.blocks if place in block.places)
        at = block.places.index(place)
        values: NDArray[np.int64] = block.values[at]
        return values if block.valid is None else np.where(block.valid[at], values, 0)

    def _arrays(self) -> list[pa.Array]:
        arrays: dict[int, pa.Array] = dict(self.parts.loose)
        for block in self.parts.blocks:
            arrays.update(zip(block.places, block.arrays(), strict=True))
        return [arrays[place] for place in range(len(self.names))]


def beside(sheets: Iterable[tuple[Sequence[str], Sheet]]) -> Sheet:
    """Return sheets of the same rows side by side, their columns under the names given."""
    names: list[str] = []
    blocks: list[Block] = []
    loose: dict[int, pa.Array] = {}
    rows = 0
    for own, sheet in sheets:
        at, rows = len(names), sheet.rows
        blocks += [block.moved(at) for block in sheet.parts.blocks]
        loose.update({at + place: array for place, array in sheet.parts.loose.items()})
        names += own
    return Sheet(names=tuple(names), rows=rows, parts=Parts(blocks=blocks, loose=loose))


def stacked(sheets: Sequence[Sheet]) -> Sheet:
    """Return sheets of the same columns, at least one, one below the other.

    >>> top, below = (Sheet.of(pa.table({"a": [value]})) for value in (1, 2))
    >>> stacked([top, below]).table["a"].to_pylist()
    [1, 2]
    """
    first = sheets[0]
    layout = [(block.dtype, block.places) for block in first.parts.blocks]
    if any([(block.dtype, block.places) for block in sheet.parts.blocks] != layout for sheet in sheets):
        return Sheet.of(pa.concat_tables([sheet.table for sheet in sheets]))
    blocks = []
    for i, (dtype, places) in enumerate(layout):
        parts = [sheet.parts.blocks[i] for sheet in sheets]
        valid = None
        if any(part.valid is not None for part in parts):
            every = [np.ones(part.values.shape, bool) if part.valid is None else part.valid for part in parts]
            valid = np.concatenate(every, axis=1)
        values = np.concatenate([part.values for part in parts], axis=1)
        blocks.append(Block(dtype=dtype, places=places, values=values, valid=valid))
    loose = {place: pa.concat_arrays([sheet.parts.loose[place] for sheet in sheets]) for place in first.parts.loose}
    rows = sum(sheet.rows for sheet in sheets)
    return Sheet(names=first.names, rows=rows, parts=Parts(blocks=blocks, loose=loose))


def _taken_apart(columns: Sequence[pa.ChunkedArray]) -> Parts:
    """Return Arrow columns as blocks of one column each, without copying values that lie in one piece."""
    blocks: list[Block] = []
    loose: dict[int, pa.Array] = {}
    for place, column in enumerate(columns):
        whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        dtype = _BY_ID.get(whole.type.id)
        if dtype is None or whole.type != ARROW_TYPES[dtype]:
            loose[place] = whole
            continue
        code, raw, n = np.dtype(CODES[dtype]), whole.buffers()[1], len(whole)
        cells = (
            np.frombuffer(raw, code, n, whole.offset * code.itemsize) if n and raw is not None else np.empty(n, code)
        )
        valid = is_valid(whole)[None] if whole.null_count else None
        blocks.append(Block(dtype=dtype, places=(place,), values=cells[None], valid=valid))
    return Parts(blocks=blocks, loose=loose)
