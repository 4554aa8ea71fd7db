"""Merge the small files of a day into sorted ones.

Rows are rearranged, never changed: the current version holds the same rows before and after, and older versions keep
their files until `vacuum`. Memory is bounded by merging a few files at a time when a day is larger than that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from lineshaft.stores.data_files import DataFile
from lineshaft.stores.parquet_read import Snapshot
from lineshaft.stores.parquet_write import write_files

if TYPE_CHECKING:
    from lineshaft.stores.delta_log import DeltaFolder

_MERGE_BYTES = 256 * 2**20
"""Compressed bytes merged at once; decoded and sorted they take a few times as much memory."""

logger = logging.getLogger(__name__)


def compact_folder(folder: DeltaFolder) -> int:
    """Merge the files of each day; return the version. A day of one file is left alone.

    Raises
    ------
    ConflictError
        If somebody else compacts the same table at the same time; what was merged so far stays merged.
    """
    version = -1
    for batch in list(_batches(folder.files())):
        table = folder.open()
        if table is None:
            break
        here = {file.path for file in folder.files_of(table)}
        if all(file.path in here for file in batch):
            merged = write_files(folder, rows_of(folder, batch))
            version = folder.rearrange(table, remove=batch, add=merged)
            logger.info("merged %d files into %d in %s", len(batch), len(merged), folder.uri)
    return folder.version() if version < 0 else version


def _batches(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """Return groups of two or more files of one day that fit in memory together, small files first."""
    ordered = sorted(files, key=lambda file: (file.day or "", file.size, file.path))
    for _, day in groupby(ordered, key=lambda file: file.day):
        batch: list[DataFile] = []
        for file in day:
            if batch and sum(other.size for other in batch) + file.size > _MERGE_BYTES:
                if len(batch) > 1:
                    yield batch
                batch = []
            batch.append(file)
        if len(batch) > 1:
            yield batch


def rows_of(folder: DeltaFolder, files: Sequence[DataFile]) -> pa.Table:
    """Return the rows of some files of a table."""
    snapshot = Snapshot(source=folder.filesystem, where=folder.uri, files=tuple(files))
    names = folder.layout.schema.names
    parts = []
    for file in files:
        opened = snapshot.open(file)
        parts += [snapshot.group(file, n, names, opened=opened) for n in range(opened.num_row_groups)]
    return pa.concat_tables([folder.layout.schema.empty_table(), *(part.cast(folder.layout.schema) for part in parts)])
