"""Bring readings into the platform: validated, counted, written once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lineshaft.errors import NotFoundError
from lineshaft.ops.jobs import COULD_NOT_RUN, PASSED
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.reading import REJECT_SCHEMA, Reading
from lineshaft.specs import Source
from lineshaft.stores.ports import OfflineStore
from lineshaft.stores.whole_files import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A table divided: `good` goes on, `held` has a last column `reason`; and how the checkpoint ended."""

    good: pa.Table
    held: pa.Table
    outcome: str = PASSED


class Door(Protocol):
    """What stands before the raw store beside the rules of `validate_blocks`: it keeps aside what it holds."""

    def blocks(self, source: Source, blocks: pa.Table) -> Admitted:
        """Divide blocks of a source."""
        ...

    def table(self, name: str, table: pa.Table) -> Admitted:
        """Return a side table whole, as good or as held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What came in: blocks and samples by source, rejects and notes by reason, side tables by name.

    `held` counts what lies in quarantine, whole, by reason; `unchecked` how much of it only because its checkpoint
    could not be run, by source or table.
    """

    blocks: Mapping[str, int]
    samples: Mapping[str, int]
    rejected: Mapping[str, int]
    notes: Mapping[str, int]
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    unchecked: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Account:
    """Counts as they grow."""

    blocks: Counter[str] = field(default_factory=Counter)
    samples: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    unchecked: Counter[str] = field(default_factory=Counter)

    def told(self, name: str, admitted: Admitted) -> pa.Table:
        """Count what is held; return what is good."""
        self.held.update(admitted.held["reason"].to_pylist())
        if admitted.outcome == COULD_NOT_RUN:
            self.unchecked[name] += admitted.held.num_rows
        return admitted.good


def ingest(
    readings: Iterable[Reading],
    *,
    sources: Mapping[str, Source],
    offline: OfflineStore,
    rejects: Path,
    label: str,
    door: Door | None = None,
    progress: Callable[[int], None] = lambda _blocks: None,
) -> Ingested:
    """Validate every block, write the good ones once, keep the others with their reason.

    A reading taken in twice changes nothing: its batch is named by its content. Rejects go to Parquet files in the
    folder `rejects`; what the `door` holds it keeps itself. Raises `NotFoundError` for a source nobody declared.
    """
    account = _Account()
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
            good = good if door is None else account.told(name, door.blocks(sources[name], good))
            if good.num_rows:
                offline.write_blocks(sources[name], good, batch=f"{label}:{content_name(good)}")
            account.blocks[name] += good.num_rows
            account.samples[name] += count_samples(good)
            progress(good.num_rows)
        kept = pa.concat_tables(refused)
        account.rejected.update(kept["reason"].to_pylist())
        keep_rejects(kept, rejects)
        account.notes.update(reading.notes)
        for name, table in reading.tables.items():
            tables.setdefault(name, []).append(table)
    whole = {name: pa.concat_tables(parts) for name, parts in tables.items()}
    if door is not None:
        judged = {name: door.table(name, table) for name, table in whole.items()}
        good = {name: account.told(name, admitted) for name, admitted in judged.items()}
        whole = {name: table for name, table in good.items() if not judged[name].held.num_rows}
    return Ingested(
        blocks=dict(account.blocks),
        samples=dict(account.samples),
        rejected=dict(sorted(account.rejected.items())),
        notes=dict(sorted(account.notes.items())),
        tables=whole,
        held=dict(account.held.most_common()),
        unchecked=dict(account.unchecked),
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
