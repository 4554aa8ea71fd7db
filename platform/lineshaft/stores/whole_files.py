"""Parquet files that are seen whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_whole(table: pa.Table, path: Path) -> None:
    """Write a table as a Parquet file, hidden until it is whole; what was there is replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.partial")
    pq.write_table(table, hidden)
    hidden.replace(path)
