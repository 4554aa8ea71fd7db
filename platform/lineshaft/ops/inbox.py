"""Files of blocks for a job to read: staged for a backfill, or put into the folder that a stream watches."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.specs import BLOCK_SCHEMA


def write_blocks_file(table: pa.Table, path: Path, *, once: bool = False) -> bool:
    """Write blocks (BLOCK_SCHEMA) as one Parquet file, hidden until it is whole; no blocks make no file.

    once: leave a file of that name as it is. Returns whether one was written.
    """
    if not table.num_rows:
        return False
    rows = max(64, min(8192, 8_000_000 // max(1, table.nbytes // table.num_rows)))
    plain = {"use_dictionary": ["asset_id", "position", "dtype", "bearing"], "compression": "none"}
    return write_file(table.cast(BLOCK_SCHEMA), path, once=once, row_group_size=rows, write_statistics=False, **plain)


def write_file(table: pa.Table, path: Path, *, once: bool, **how: Any) -> bool:
    """Write a Parquet file that nobody sees before it is whole; `once` as in `write_blocks_file`."""
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")  # two writers of one name share no file
    pq.write_table(table, hidden, **how)
    if not once:
        hidden.rename(path)
        return True
    try:
        path.hardlink_to(hidden)
    except FileExistsError:
        return False
    finally:
        hidden.unlink()
    return True
