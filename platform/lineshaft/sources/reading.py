"""What reading a data set gives: blocks by source, and an account of everything else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

REJECT_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # a stable slug, e.g. "shifted_record"
        pa.field("detail", pa.string(), nullable=False),  # for people
        pa.field("asset_id", pa.string(), nullable=False),  # "" where the record does not say
        pa.field("position", pa.string(), nullable=False),
        pa.field("start_us", pa.int64()),  # null where the record's time cannot be told
        pa.field("raw", pa.string(), nullable=False),  # the record as JSON
    ]
)
"""Arrow schema of rejected records: nothing is dropped without a row here."""

EVENT_SCHEMA = pa.schema(
    [
        pa.field("asset_id", pa.string(), nullable=False),
        pa.field("event_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("known_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # "failure", "preventive", "error", ...
        pa.field("code", pa.string(), nullable=False),  # which: "comp2", "error1", "inner_race"
    ]
)
"""Arrow schema of event tables: what happened to an asset, and when anybody knew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One stretch of a data set: readers yield one a file, so that memory stays bounded.

    `blocks` maps source name to a table in `BLOCK_SCHEMA`; `tables` holds side tables (labels, truth, events);
    `notes` counts records that were kept but mended, or that a reader should know of, by reason.
    """

    blocks: Mapping[str, pa.Table] = field(default_factory=dict)
    rejects: pa.Table = field(default_factory=REJECT_SCHEMA.empty_table)
    notes: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def rejected(self) -> dict[str, int]:
        """Return how many records were rejected, by reason."""
        return dict(sorted(Counter(self.rejects["reason"].to_pylist()).items()))

    @property
    def block_count(self) -> int:
        """Return the number of blocks over all sources."""
        return sum(len(table) for table in self.blocks.values())


def gather(readings: Iterable[Reading]) -> Reading:
    """Return all readings as one; everything is then in memory.

    >>> gather([Reading(notes={"mended": 1}), Reading(notes={"mended": 2})]).notes
    {'mended': 3}
    """
    parts = list(readings)
    notes: Counter[str] = Counter()
    for part in parts:
        notes.update(part.notes)
    return Reading(
        blocks=_joined([part.blocks for part in parts]),
        rejects=pa.concat_tables([REJECT_SCHEMA.empty_table(), *(part.rejects for part in parts)]),
        notes=dict(sorted(notes.items())),
        tables=_joined([part.tables for part in parts]),
    )


def reject_rows(*, source: str, reason: str, rows: Iterable[Mapping[str, Any]], detail: str = "") -> pa.Table:
    """Return rejected records in `REJECT_SCHEMA`; a row's own `asset_id`, `position`, `start_us` are taken over.

    >>> reject_rows(source="s", reason="shifted_record", rows=[{"asset_id": "a", "x": 1}])["raw"].to_pylist()
    ['{"asset_id": "a", "x": 1}']
    """
    records = [
        {
            "source": source,
            "reason": reason,
            "detail": detail,
            "asset_id": row.get("asset_id") or "",
            "position": row.get("position") or "",
            "start_us": row.get("start_us"),
            "raw": json.dumps(row, default=str),
        }
        for row in rows
    ]
    return pa.Table.from_pylist(records, schema=REJECT_SCHEMA)


def _joined(parts: Iterable[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Return the tables of each name, one after the other."""
    tables: dict[str, list[pa.Table]] = {}
    for part in parts:
        for name, table in part.items():
            tables.setdefault(name, []).append(table)
    return {name: pa.concat_tables(found) for name, found in tables.items()}
