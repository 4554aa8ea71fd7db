"""Rows that a checkpoint held back: where a job keeps them, and which of them are held back still."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.ops.unstored import unstored
from lineshaft.specs import View, row_identity, row_schema
from lineshaft.stores.ports import OfflineStore
from lineshaft.stores.whole_files import write_whole


def quarantine_folder(work: Path, view: View) -> Path:
    """Return where a job with this work folder keeps a view's quarantined rows."""
    return work / "quarantine" / view.ref


def keep_aside(table: pa.Table, folder: Path, batch: str) -> None:
    """Keep rows under the batch's name: written again, it is the same file."""
    if not table.num_rows:
        return
    name = hashlib.blake2b(batch.encode(), digest_size=12).hexdigest()
    write_whole(table, folder / f"{name}.parquet")


def quarantined_rows(view: View, *, offline: OfflineStore, work: Path, assets: Sequence[str] = ()) -> pa.Table:
    """Return the rows in quarantine that are not stored all the same, each once (`row_schema(view)`)."""
    schema = row_schema(view)
    files = sorted(quarantine_folder(work, view).glob("[!.]*.parquet"))
    if not files:
        return schema.empty_table()
    held = pa.concat_tables(pq.read_table(file, partitioning=None).select(schema.names).cast(schema) for file in files)
    if assets:
        held = held.filter(pc.is_in(held["asset_id"], value_set=pa.array(list(assets), pa.string())))
    return unstored(view, held, offline)


def divided(view: View, rows: pa.Table, held: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return (the rows that are not held back, those that are), told apart by key, event time and known time."""
    if not held.num_rows:
        return rows, rows.slice(0, 0)
    names = row_identity(view)
    places = rows.select(names).append_column("place", pa.array(np.arange(rows.num_rows)))
    hit = places.join(held.select(names), keys=names, join_type="left semi")["place"]
    aside = np.zeros(rows.num_rows, dtype=bool)
    aside[hit.to_numpy()] = True
    return rows.filter(pa.array(~aside)), rows.filter(pa.array(aside))
