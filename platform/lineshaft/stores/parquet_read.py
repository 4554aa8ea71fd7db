"""Read Parquet files of a table, one row group at a time, pruned by their statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from lineshaft.errors import CorruptError, NotFoundError
from lineshaft.stores.data_files import DataFile

_AHEAD = 2  # tasks done before their results are asked for

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The files of one table version, and where they lie; `keys` are read dictionary-encoded."""

    source: fs.FileSystem
    where: str
    files: tuple[DataFile, ...]
    keys: tuple[str, ...] = ()

    def open(self, file: DataFile) -> pq.ParquetFile:
        """Open a data file.

        Raises
        ------
        NotFoundError
            If the file was vacuumed away.
        CorruptError
            If it is no Parquet file any more.
        """
        try:
            return pq.ParquetFile(self.source.open_input_file(file.path), read_dictionary=list(self.keys))
        except FileNotFoundError as error:
            raise NotFoundError(
                "a file of this version is gone: it was compacted, then vacuumed",
                where=f"{self.where}/{file.path}",
                fix="read the current version; next time vacuum with keep_versions",
            ) from error
        except (pa.ArrowInvalid, OSError) as error:
            raise self._damaged(file, error) from error

    def group(
        self, file: DataFile, number: int, columns: Sequence[str], *, opened: pq.ParquetFile | None = None
    ) -> pa.Table:
        """Decode columns of one row group.

        Raises
        ------
        CorruptError
            If its bytes do not decode.
        """
        parquet = opened or self.open(file)
        try:
            return parquet.read_row_group(number, columns=list(columns))
        except (pa.ArrowInvalid, OSError) as error:
            raise self._damaged(file, error) from error

    def _damaged(self, file: DataFile, error: Exception) -> CorruptError:
        return CorruptError(
            f"a data file does not decode: {error}",
            where=f"{self.where}/{file.path}",
            fix="restore the file from a copy, or backfill its day",
        )


def bounds(parquet: pq.ParquetFile, number: int, column: str) -> tuple[Any, Any]:
    """Return lowest and highest value of a column in a row group, (None, None) if its statistics do not say.

    Times are microseconds.
    """
    index = parquet.schema_arrow.get_field_index(column)
    stats = parquet.metadata.row_group(number).column(index).statistics
    if stats is None or not stats.has_min_max:
        return None, None
    if stats.physical_type == "INT64":
        return stats.min_raw, stats.max_raw
    return stats.min, stats.max


def micros(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a time column without nulls as int64 microseconds."""
    parts = [chunk.view(pa.int64()).to_numpy() for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int64), *parts])


def ahead(tasks: Iterator[Task], work: Callable[[Task], Result]) -> Iterator[tuple[Task, Result]]:
    """Return each task with its result, in order, worked a little ahead in one thread.

    Decoding then overlaps with the use of what was decoded. `tasks` is advanced by the caller's thread.
    """
    with ThreadPoolExecutor(1) as pool:

        def submit(number: int) -> list[tuple[Task, Future[Result]]]:
            return [(task, pool.submit(work, task)) for task in islice(tasks, number)]

        waiting = submit(_AHEAD)
        while waiting:
            task, future = waiting.pop(0)
            result = future.result()
            del future
            waiting += submit(1)
            yield task, result
            del result
