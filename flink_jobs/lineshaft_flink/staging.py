"""Finished parts of a job's staging folder, read back as feature rows and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.specs import View
from lineshaft.tiles.rows import rows_table
from lineshaft.tiles.timeline import Emitted
from lineshaft_flink.packing import REJECTS, RowBatch

REJECT_SCHEMA = pa.schema(
    [
        ("asset_id", pa.string()),
        ("position", pa.string()),
        ("start_us", pa.int64()),
        ("known_us", pa.int64()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One finished part: feature rows by view reference, refused blocks."""

    name: str
    rows: dict[str, pa.Table]
    rejects: pa.Table


def finished(folder: Path) -> list[Path]:
    """Return the parts that Flink has finished, by name; open ones are hidden until their checkpoint."""
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] not in "._")


def read_part(path: Path, views: Sequence[View]) -> Part:
    """Read one finished part."""
    known = {view.ref: view for view in views}
    pieces: dict[str, list[pa.Table]] = {view.ref: [] for view in views}
    rejects = []
    for ref, key, payload in _elements(path):
        if ref == REJECTS:
            rejects += [tuple(reject) for reject in json.loads(payload)]
            continue
        view = known[ref]
        batch = RowBatch.from_bytes(payload)
        emitted = Emitted(tick_us=batch.tick_us, known_us=batch.known_us, values=batch.values)
        names = [name for name, _ in view.entity_keys]
        pieces[ref].append(rows_table(view, dict(zip(names, json.loads(key), strict=True)), emitted))
    rows = {ref: pa.concat_tables(tables) for ref, tables in pieces.items() if tables}
    columns = [list(column) for column in zip(*rejects, strict=True)] or [[] for _ in REJECT_SCHEMA]
    return Part(name=path.name, rows=rows, rejects=pa.table(columns, schema=REJECT_SCHEMA))


def _elements(path: Path) -> Iterator[tuple[str, str, bytes]]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=256):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
