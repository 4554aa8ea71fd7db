"""The second half of the join: values of the rows that were found, in the order asked, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.stores.columns import column_for, width
from lineshaft.stores.data_files import DataFile, reaching
from lineshaft.stores.parquet_read import Snapshot, ahead
from lineshaft.tiles.asof import AsOf, order_by

Ints = NDArray[np.int64]
Slice = Callable[[int, int], pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a join may hold: bytes of answers before they are spilled, rows of one chunk it gives back."""

    answer_bytes: int = 64 * 2**20
    chunk_rows: int = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One row group that holds answers: its rows `take` answer the asks `to`."""

    file: DataFile
    number: int
    take: Ints
    to: Ints


def plan(asof: AsOf, groups: Sequence[tuple[DataFile, int]]) -> list[Visit]:
    """Return the row groups that hold answers, each with its answers in order of rows."""
    group, row = asof.group, asof.row
    order = order_by(group, row)
    order = order[np.searchsorted(group[order], 0) :]
    held, starts = np.unique(group[order], return_index=True)
    ends = [*starts.tolist(), len(order)][1:]
    return [
        Visit(file=groups[which][0], number=groups[which][1], take=row[order[start:end]], to=order[start:end])
        for which, start, end in zip(held.tolist(), starts.tolist(), ends, strict=True)
    ]


def shares(columns: Sequence[pa.Field], *, size: int, budget: Budget) -> list[list[pa.Field]]:
    """Cut columns into shares whose answers fit the budget; at least one column each.

    >>> two = [pa.field("a", pa.float64()), pa.field("b", pa.float64())]
    >>> [len(share) for share in shares(two, size=1000, budget=Budget(answer_bytes=8000))]
    [1, 1]
    """
    out: list[list[pa.Field]] = []
    used = budget.answer_bytes + 1
    for column in columns:
        need = size * width(column.type)
        if used + need > budget.answer_bytes:
            out.append([])
            used = 0
        out[-1].append(column)
        used += need
    return out


class Fetched:
    """The fetched columns, to be read in rows; a context that owns the temporary files."""

    def __init__(self, snapshot: Snapshot, missing: NDArray[np.bool_], budget: Budget) -> None:
        self._snapshot, self._missing, self._budget = snapshot, missing, budget
        self._slices: list[Slice] = []
        self._owned = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._owned.close()

    def fetch(self, visits: Sequence[Visit], columns: Sequence[pa.Field]) -> None:
        """Decode and place all columns, each once; spill them when they outgrow the budget."""
        parts = shares(columns, size=len(self._missing), budget=self._budget)
        folder = self._owned.enter_context(TemporaryDirectory(prefix="lineshaft-join-")) if len(parts) > 1 else None
        for number, part in enumerate(parts):
            table = self._gather(visits, part)
            self._slices.append(table.slice if folder is None else self._spill(table, Path(folder, f"{number}.arrow")))

    def rows(self, start: int, length: int) -> dict[str, pa.ChunkedArray]:
        """Return rows of all columns; chunk by chunk, as the budget cuts them."""
        parts = [part(start, length) for part in self._slices]
        return {name: part[name] for part in parts for name in part.column_names}

    def _gather(self, visits: Sequence[Visit], columns: Sequence[pa.Field]) -> pa.Table:
        names = [column.name for column in columns]
        filled = [column_for(column.type, len(self._missing)) for column in columns]
        decoded = ahead(iter(visits), lambda visit: self._snapshot.group(visit.file, visit.number, names))
        for visit, table in decoded:
            for name, column in zip(names, filled, strict=True):
                column.put(table[name], take=visit.take, to=visit.to)
            del table
        return pa.table([column.finish(self._missing) for column in filled], schema=pa.schema(columns))

    def _spill(self, table: pa.Table, path: Path) -> Slice:
        with reaching(str(path)), pa.ipc.new_file(str(path), table.schema) as sink:
            sink.write_table(table, max_chunksize=self._budget.chunk_rows)
        reader = self._owned.enter_context(pa.ipc.open_file(self._owned.enter_context(pa.OSFile(str(path)))))

        def part(start: int, length: int) -> pa.Table:
            return pa.Table.from_batches([reader.get_batch(start // self._budget.chunk_rows)]).slice(0, length)

        return part


def cuts(size: int, budget: Budget) -> Iterator[tuple[int, int]]:
    """Return (start, length) of each chunk of rows; one empty chunk where there are no rows."""
    for start in range(0, max(1, size), budget.chunk_rows):
        yield start, min(budget.chunk_rows, size - start)
