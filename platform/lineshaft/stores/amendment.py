"""Put rows in the place of those of the same identity: what follows when blocks come in that a row was made without.

Nothing is lost by it: the version before keeps its files until `vacuum`, so what a model was trained on is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lineshaft.stores.compaction import rows_of
from lineshaft.stores.data_files import DataFile
from lineshaft.stores.parquet_read import micros
from lineshaft.stores.parquet_write import conform, write_files

if TYPE_CHECKING:
    from lineshaft.stores.delta_log import DeltaFolder


def amend_folder(folder: DeltaFolder, rows: pa.Table, *, identity: Sequence[str], batch: str) -> int:
    """Replace rows once per batch name, and add those that were not there; return a version that holds them.

    Raises
    ------
    ConflictError
        If somebody else compacts or amends the same table at the same time.
    """
    rows = conform(rows, folder.layout.schema, where=folder.uri)
    if not rows.num_rows:
        return folder.version()
    table = folder.ensured()
    if table.transaction_version(batch) is not None:
        return int(table.version())
    times = micros(rows[folder.layout.time])
    low, high = int(times.min()), int(times.max())
    touched = [file for file in folder.files_of(table) if _reaches(file, low, high)]
    kept = without(rows_of(folder, touched), rows, identity=identity)
    return folder.rearrange(table, remove=touched, add=write_files(folder, pa.concat_tables([kept, rows])), batch=batch)


def without(rows: pa.Table, others: pa.Table, *, identity: Sequence[str]) -> pa.Table:
    """Return the rows that none of the others is a version of, order kept.

    >>> table = pa.table({"k": ["a", "b"], "x": [1, 2]})
    >>> without(table, table.slice(0, 1), identity=["k"])["x"].to_pylist()
    [2]
    """
    if not rows.num_rows:
        return rows
    names = list(identity)
    places = rows.select(names).append_column("place", pa.array(np.arange(rows.num_rows)))
    left = places.join(others.select(names), keys=names, join_type="left anti")["place"]
    return rows.take(left.combine_chunks().sort())


def _reaches(file: DataFile, low: int, high: int) -> bool:
    """Say whether a file may hold rows of a span of time; one whose bounds the log does not state may."""
    oldest, newest = file.oldest_us, file.newest_us
    return oldest is None or newest is None or (oldest <= high and newest >= low)
