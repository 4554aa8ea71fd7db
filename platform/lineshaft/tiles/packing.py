"""One feature row as bytes: what the online store keeps for each (view version, entity).

    format u8 | schema id u32 | event_time u64 | known_at u64 | blocks | null bits | tail | crc32 u32

The two times are big-endian with the sign bit flipped, so that their bytes compare like their numbers: a server-side
script decides "newer" from the first 21 bytes. Everything else is little-endian. Columns lie grouped by width (float64,
int64 and timestamp, float32, int32, lengths of strings and bytes, bool), in declared order within a group. A null is a
NaN in a float column, 2 in a bool, 0xFFFFFFFF in a length, and a zero among the null bits for the integers; the tail
holds strings and bytes. The CRC covers all that precedes it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.specs import Status, View, row_schema
from lineshaft.specs.rows import PRESENT
from lineshaft.tiles.buffers import byte_array, text_array, truth_array
from lineshaft.tiles.packed_layout import HEADER, NO_BOOL, NO_LENGTH, Group, lay_out
from lineshaft.tiles.sheet import Block, Parts, Sheet

FORMAT = 0xB1
TIMES = slice(5, 21)
"""Where the two times lie: larger bytes are newer."""

_SIGN = np.uint64(1 << 63)
_CRC_WIDTH = 4
_CRC_RESIDUE = 0x2144DF1C  # crc32(m + crc32(m)) is this for every m
_MOST_ASKED = 256
_FIRST = itemgetter(slice(0, 5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """Decoded rows: `event_time`, `known_at` and features, with one status (int8) a row."""

    sheet: Sheet
    status: NDArray[np.int8]

    @property
    def rows(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.sheet.table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pick:
    """The columns of one type that a request takes from a block, and where they go."""

    block: Group
    dtype: str
    columns: slice | NDArray[np.intp]
    places: tuple[int, ...]


class RowCodec:
    """Turn rows of one view into bytes and back, all rows at once, bit for bit.

    Decoding never raises for bad bytes: a row that fails its length, CRC, format or schema is CORRUPT.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self._types = {f.name: f.dtype for f in view.features}
        self._blocks, self._bits = lay_out(self._types)
        last = self._blocks[-1].stop if self._blocks else HEADER.itemsize
        self._bits_at = last
        self.fixed_width = last + (self._bits + 7) // 8
        """Bytes of a row before its tail and CRC."""
        self.width = self.fixed_width + _CRC_WIDTH
        """Bytes of a row without a tail."""
        self.has_tail = any(block.kind == "length" for block in self._blocks)
        signature = "|".join([view.ref, *(f"{name}:{dtype}" for name, dtype in self._types.items())])
        self.schema_id = zlib.crc32(signature.encode())
        self._head = FORMAT.to_bytes(1, "little") + self.schema_id.to_bytes(4, "little")
        self._all_bits = np.packbits(np.ones(self._bits, np.uint8), bitorder="little")
        self._blank = self._blank_row()
        self._asked: dict[tuple[str, ...], tuple[_Pick, ...]] = {}

    # --- rows to bytes

    def encode(self, rows: pa.Table) -> list[bytes]:
        """Pack rows that hold `event_time`, `known_at` and every feature of the view; one value a row.

        Raises `InputError` when a column is missing, has another type, or a time is null.
        """
        rows = self._conform(rows)
        if self.has_tail:
            return self._with_tails(self._fixed(rows), rows)
        whole = self._sealed(self._fixed(rows)).tobytes()
        return [whole[at : at + self.width] for at in range(0, len(whole), self.width)]

    def matrix(self, rows: pa.Table) -> NDArray[np.uint8]:
        """Return what `encode` returns, one value under the other (n x bytes); for views whose rows have no tail."""
        return self._sealed(self._fixed(self._conform(rows)))

    def _fixed(self, rows: pa.Table) -> NDArray[np.uint8]:
        """Return all that lies before tail and CRC, with room for the CRC."""
        n = rows.num_rows
        matrix = np.zeros((n, self.width), np.uint8)
        head = matrix[:, : HEADER.itemsize].view(HEADER)[:, 0]
        head["format"], head["schema"] = FORMAT, self.schema_id
        head["event"], head["known"] = _biased(rows["event_time"]), _biased(rows["known_at"])
        valid = np.ones((self._bits, n), np.uint8)
        for block in self._blocks:
            cells = np.empty((len(block.names), n), block.dtype)
            for j, name in enumerate(block.names):
                cells[j], known = _cells(rows[name], self._types[name])
                if known is not None:
                    valid[block.bit + j] = known
            matrix[:, block.start : block.stop].view(block.dtype)[:] = cells.T
        if self._bits:
            matrix[:, self._bits_at : self.fixed_width] = (
                np.packbits(valid.T, axis=1, bitorder="little") if not valid.all() else self._all_bits
            )
        return matrix

    def _conform(self, rows: pa.Table) -> pa.Table:
        schema = row_schema(self.view).remove_metadata()
        wanted = [schema.field(i) for i in range(len(self.view.entity_keys), len(schema))]
        given = set(rows.column_names)
        missing = [field.name for field in wanted if field.name not in given]
        if missing:
            raise InputError(
                f"rows of {self.view.ref} lack {', '.join(missing)}",
                where=self.view.where,
                fix="give every column of row_schema(view)",
            )
        rows = rows.select([field.name for field in wanted])
        for field, ours in zip(wanted, rows.schema, strict=True):
            if ours.type != field.type:
                raise InputError(
                    f"column {field.name} of {self.view.ref} is {ours.type}, not {field.type}",
                    where=self.view.where,
                    fix="cast it to the type its feature declares",
                )
        if rows["event_time"].null_count or rows["known_at"].null_count:
            raise InputError(f"a row of {self.view.ref} has no time", fix="drop rows without event_time or known_at")
        return rows

    def _sealed(self, matrix: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Add the CRCs."""
        width = matrix.shape[1]
        body = width - _CRC_WIDTH
        bodies = chain.from_iterable(struct.iter_unpack(f"{body}s{_CRC_WIDTH}x", matrix.data))
        checks = list(map(zlib.crc32, bodies))  # a third of what slices in a loop take
        matrix[:, body:] = np.array(checks, "<u4").view(np.uint8).reshape(-1, _CRC_WIDTH)
        return matrix

    def _with_tails(self, matrix: NDArray[np.uint8], rows: pa.Table) -> list[bytes]:
        """Add tails and CRCs."""
        names = [name for block in self._blocks if block.kind == "length" for name in block.names]
        tails = zip(
            *([cell or b"" for cell in rows[name].cast(pa.binary()).to_pylist()] for name in names), strict=True
        )
        values = []
        for fixed, tail in zip(matrix[:, : self.fixed_width], tails, strict=True):
            body = b"".join((fixed.tobytes(), *tail))
            values.append(body + zlib.crc32(body).to_bytes(_CRC_WIDTH, "little"))
        return values

    # --- bytes to rows

    def decode(self, values: Sequence[bytes | None], features: Sequence[str] | None = None) -> Unpacked:
        """Unpack values in the order given; `None` is NOT_FOUND, bad bytes are CORRUPT, both all null.

        `features` picks columns, in the order asked; the default is all. Raises `InputError` for unknown names.
        """
        matrix, status = self.checked(values)
        if not self.has_tail:
            return self.cut(matrix, status, features)
        names = tuple(self._types) if features is None else tuple(features)
        texts, torn = self._tails(matrix, values, status == PRESENT)
        if torn.any():
            kept = [None if bad else value for value, bad in zip(values, torn.tolist(), strict=True)]
            unpacked = self.decode(kept, features)
            unpacked.status[torn] = Status.CORRUPT
            return unpacked
        cells = {2 + i: texts[name] for i, name in enumerate(names) if name in texts}
        return self.cut(matrix, status, features, texts=cells)

    def cut(
        self,
        matrix: NDArray[np.uint8],
        status: NDArray[np.int8],
        features: Sequence[str] | None = None,
        *,
        texts: Mapping[int, pa.Array] | None = None,
    ) -> Unpacked:
        """Return the columns of checked rows (n x bytes); `texts` are those that lie in tails, by place."""
        names = tuple(self._types) if features is None else tuple(features)
        picks = self._asked.get(names) or self._plan(names)
        found = status == PRESENT
        times = np.bitwise_xor(matrix[:, TIMES].view(">u8").T, _SIGN, order="C").view(np.int64)
        known = None if found.all() else np.stack([found, found])
        blocks = [Block(dtype="timestamp", places=(0, 1), values=times, valid=known)]
        loose: dict[int, pa.Array] = dict(texts or {})
        for pick in picks:
            if pick.dtype == "bool":
                loose.update(_bools(matrix, pick))
            else:
                blocks.append(self._numbers(matrix, pick))
        sheet = Sheet(
            names=("event_time", "known_at", *names), rows=len(matrix), parts=Parts(blocks=blocks, loose=loose)
        )
        return Unpacked(sheet=sheet, status=status)

    def _plan(self, names: tuple[str, ...]) -> tuple[_Pick, ...]:
        """Work out which columns of which blocks these features are; kept, since services ask alike every time."""
        strange = sorted(set(names) - self._types.keys())
        if strange:
            raise InputError(
                f"view {self.view.name} has no feature {', '.join(strange)}", fix=f"ask for {list(self._types)}"
            )
        picks = []
        for block in self._blocks:
            column = {name: j for j, name in enumerate(block.names)}
            for dtype in dict.fromkeys(self._types[name] for name in block.names):
                taken = [(column[n], 2 + i) for i, n in enumerate(names) if n in column and self._types[n] == dtype]
                if taken and block.kind != "length":
                    columns, places = np.array([j for j, _ in taken]), tuple(i for _, i in taken)
                    run = np.array_equal(columns, np.arange(columns[0], columns[0] + len(columns)))
                    where = slice(int(columns[0]), int(columns[-1]) + 1) if run else columns
                    picks.append(_Pick(block=block, dtype=dtype, columns=where, places=places))
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[names] = tuple(picks)
        return self._asked[names]

    def checked(self, values: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Return the fixed parts as a matrix (n x bytes), blank where nothing usable is, and the status of each row."""
        least = self.width
        if not self.has_tail and self._all_whole(values, least):
            matrix = np.frombuffer(b"".join(values), np.uint8)  # type: ignore[arg-type]  # none of them is None
            return matrix.reshape(-1, least), np.full(len(values), PRESENT)
        status = np.array([self._judged(value, least) for value in values], np.int8)
        usable = (status == PRESENT).tolist()
        parts = [value[:least] if ok and value else self._blank for ok, value in zip(usable, values, strict=True)]
        return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, least), status

    def _all_whole(self, values: Sequence[bytes | None], width: int) -> bool:
        """Return whether every value is there, of the one width and schema, and passes its checksum: the usual case."""
        if None in values:
            return False
        there = cast("Sequence[bytes]", values)
        heads = set(map(_FIRST, there))
        return (
            heads <= {self._head} and set(map(len, there)) <= {width} and set(map(zlib.crc32, there)) <= {_CRC_RESIDUE}
        )

    def _judged(self, value: bytes | None, least: int) -> Status:
        if value is None:
            return Status.NOT_FOUND
        fits = len(value) == least or (self.has_tail and len(value) > least)
        sound = fits and value.startswith(self._head) and zlib.crc32(value) == _CRC_RESIDUE
        return Status.PRESENT if sound else Status.CORRUPT

    def _numbers(self, matrix: NDArray[np.uint8], pick: _Pick) -> Block:
        block = pick.block
        cells = _cut(matrix, pick)
        valid: NDArray[np.bool_] | None = None
        if block.dtype.kind == "f":
            undefined = np.isnan(cells)
            valid = ~undefined if undefined.any() else None
        elif not (matrix[:, self._bits_at : self.fixed_width] == self._all_bits).all():
            bits = np.unpackbits(matrix[:, self._bits_at : self.fixed_width], axis=1, bitorder="little")
            own = bits[:, block.bit : block.bit + len(block.names)].T[pick.columns]
            valid = None if own.all() else np.ascontiguousarray(own, bool)
        return Block(dtype=pick.dtype, places=pick.places, values=cells, valid=valid)

    def _tails(
        self, matrix: NDArray[np.uint8], values: Sequence[bytes | None], found: NDArray[np.bool_]
    ) -> tuple[dict[str, pa.Array], NDArray[np.bool_]]:
        """Cut strings and bytes out of the tails; return which rows' lengths do not add up or whose text is none."""
        block = next(block for block in self._blocks if block.kind == "length")
        lengths = np.ascontiguousarray(matrix[:, block.start : block.stop]).view(block.dtype).astype(np.int64)
        absent = lengths == NO_LENGTH
        ends = self.fixed_width + np.cumsum(np.where(absent, 0, lengths), axis=1)
        sizes = np.array([0 if value is None else len(value) for value in values], np.int64)
        torn: NDArray[np.bool_] = found & (ends[:, -1] + _CRC_WIDTH != sizes)
        there = (found & ~torn)[:, None] & ~absent
        columns: dict[str, pa.Array] = {}
        for j, name in enumerate(block.names):
            starts = ends[:, j] - np.where(absent[:, j], 0, lengths[:, j])
            spans = zip(values, starts.tolist(), ends[:, j].tolist(), there[:, j].tolist(), strict=True)
            cells = [value[a:b] if ok and value is not None else None for value, a, b, ok in spans]
            if self._types[name] == "string":
                columns[name] = _text(cells, torn)
            else:
                columns[name] = byte_array(cells)
        return columns, torn

    def _blank_row(self) -> bytes:
        row = np.zeros(self.width, np.uint8)
        nothing = {"float64": np.nan, "float32": np.nan, "length": NO_LENGTH, "bool": NO_BOOL}
        for block in self._blocks:
            filler = np.full(len(block.names), nothing.get(block.kind, 0), block.dtype)
            row[block.start : block.stop] = filler.view(np.uint8)
        return row.tobytes()


def _biased(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    flipped: NDArray[np.uint64] = column.cast(pa.int64()).to_numpy().view(np.uint64) ^ _SIGN
    return flipped


def _cells(column: pa.ChunkedArray, dtype: str) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return a column's cells as its block stores them and, for integers, which are known."""
    if dtype in {"float64", "float32"}:
        cells = column.to_numpy(zero_copy_only=False)
        undefined = np.isnan(cells)
        # One NaN for all: the sign and payload of a NaN differ by processor and must not reach the bytes.
        return (np.where(undefined, np.array(np.nan, cells.dtype), cells) if undefined.any() else cells), None
    if dtype in {"string", "bytes"}:
        return pc.binary_length(column).cast(pa.int64()).fill_null(NO_LENGTH).to_numpy(), None
    if dtype == "bool":
        return column.cast(pa.uint8()).fill_null(NO_BOOL).to_numpy(), None
    whole = column.cast(pa.int64()) if dtype == "timestamp" else column
    if not column.null_count:
        return whole.to_numpy(), None
    return whole.fill_null(0).to_numpy(), column.is_valid().to_numpy(zero_copy_only=False)


def _cut(matrix: NDArray[np.uint8], pick: _Pick) -> NDArray[Any]:
    """Return the cells picked from packed rows as a matrix (k x n), one contiguous run a column."""
    cells = matrix[:, pick.block.start : pick.block.stop].view(pick.block.dtype)  # unaligned, until they are copied
    return np.ascontiguousarray(cells.T[pick.columns])


def _bools(matrix: NDArray[np.uint8], pick: _Pick) -> dict[int, pa.Array]:
    """Return columns of bools by their places."""
    cells = _cut(matrix, pick)
    return {
        place: truth_array(column == 1, column != NO_BOOL) for place, column in zip(pick.places, cells, strict=True)
    }


def _text(cells: list[bytes | None], torn: NDArray[np.bool_]) -> pa.Array:
    """Return strings, marking rows whose bytes are no UTF-8."""
    try:
        return byte_array(cells).cast(pa.string())
    except pa.ArrowInvalid:
        texts = [None if cell is None else cell.decode(errors="replace") for cell in cells]
        torn |= [cell is not None and not _is_text(cell) for cell in cells]
        return text_array(texts)


def _is_text(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True
