"""Files of blocks for a job to read: staged for a backfill, or put into the folder that a stream watches."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.specs import BLOCK_SCHEMA


def write_blocks_file(table: pa.Table, path: Path) -> None:
    """Write blocks (BLOCK_SCHEMA) as one Parquet file, hidden until it is whole; no blocks make no file."""
    if not table.num_rows:
        return
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")  # two writers of one name share no file
    rows = max(64, min(8192, 8_000_000 // max(1, table.nbytes // table.num_rows)))
    plain = {"use_dictionary": ["asset_id", "position", "dtype", "bearing"], "compression": "none"}
    pq.write_table(table.cast(BLOCK_SCHEMA), hidden, row_group_size=rows, write_statistics=False, **plain)
    hidden.rename(path)
