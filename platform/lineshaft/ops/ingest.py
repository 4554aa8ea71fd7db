"""Bring readings into the platform: validated, counted, written once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.errors import NotFoundError
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.reading import REJECT_SCHEMA, Reading
from lineshaft.specs import Source
from lineshaft.stores.ports import OfflineStore
from lineshaft.stores.whole_files import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What came in: blocks and samples by source, rejects and notes by reason, side tables by name."""

    blocks: Mapping[str, int]
    samples: Mapping[str, int]
    rejected: Mapping[str, int]
    notes: Mapping[str, int]
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


def ingest(
    readings: Iterable[Reading],
    *,
    sources: Mapping[str, Source],
    offline: OfflineStore,
    rejects: Path,
    label: str,
    progress: Callable[[int], None] = lambda _blocks: None,
) -> Ingested:
    """Validate every block, write the good ones once, keep the others with their reason.

    A reading taken in twice changes nothing: its batch is named by its content. Rejects go to Parquet files in the
    folder `rejects`. Raises `NotFoundError` for a source nobody declared.
    """
    blocks: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    tables: dict[str, list[pa.Table]] = {}
    for reading in readings:
        refused = [reading.rejects]
        for name, table in reading.blocks.items():
            if name not in sources:
                raise NotFoundError(
                    f"source {name!r} is not declared",
                    where=label,
                    fix=f"declare it in the feature repository; known: {', '.join(sorted(sources))}",
                )
            good, bad = validate_blocks(table, sources[name])
            refused.append(bad)
            if good.num_rows:
                offline.write_blocks(sources[name], good, batch=f"{label}:{content_name(good)}")
            blocks[name] += good.num_rows
            samples[name] += count_samples(good)
            progress(good.num_rows)
        kept = pa.concat_tables(refused)
        rejected.update(kept["reason"].to_pylist())
        keep_rejects(kept, rejects)
        notes.update(reading.notes)
        for name, table in reading.tables.items():
            tables.setdefault(name, []).append(table)
    return Ingested(
        blocks=dict(blocks),
        samples=dict(samples),
        rejected=dict(sorted(rejected.items())),
        notes=dict(sorted(notes.items())),
        tables={name: pa.concat_tables(parts) for name, parts in tables.items()},
    )


def keep_rejects(rejects: pa.Table, folder: Path) -> None:
    """Keep rejected records as a Parquet file named by its content, so that a replay adds none."""
    if not rejects.num_rows:
        return
    name = hashlib.blake2b(repr(rejects.to_pylist()).encode(), digest_size=12).hexdigest()
    write_whole(rejects, folder / f"{name}.parquet")


def read_rejects(folder: Path) -> pa.Table:
    """Return every kept reject."""
    files = sorted(folder.glob("[!.]*.parquet")) if folder.is_dir() else []
    kept = [pq.read_table(file, schema=REJECT_SCHEMA) for file in files]
    return pa.concat_tables([REJECT_SCHEMA.empty_table(), *kept])


def content_name(blocks: pa.Table) -> str:
    """Return a name for a table of blocks that depends on its content alone."""
    digest = hashlib.blake2b(digest_size=16)
    for name in blocks.column_names:
        for value in blocks[name].to_pylist():
            digest.update(value if isinstance(value, bytes) else repr(value).encode())
            digest.update(b"\0")
    return digest.hexdigest()


def count_samples(blocks: pa.Table) -> int:
    """Return the number of samples over all channels."""
    if not blocks.num_rows:
        return 0
    width = pc.if_else(pc.equal(blocks["dtype"], "f4"), 4, 8)
    return int(pc.sum(pc.divide(pc.cast(pc.binary_length(blocks["payload"]), pa.int64()), width)).as_py())
