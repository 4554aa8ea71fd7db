"""Side tables beside the blocks: labels, truth, maintenance events. Small, kept as Parquet by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.errors import NotFoundError
from lineshaft.stores.whole_files import write_whole


def keep_tables(tables: Mapping[str, pa.Table], folder: Path) -> None:
    """Write each table under its name, replacing what was there in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_whole(table, folder / f"{name}.parquet")


def read_table(name: str, folder: Path) -> pa.Table:
    """Return a kept table.

    Raises `NotFoundError` naming those that are there.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("[!.]*.parquet"))) or "none"
        raise NotFoundError(f"no table {name!r} was ingested", where=str(folder), fix=f"tables there: {there}")
    return pq.read_table(path)
