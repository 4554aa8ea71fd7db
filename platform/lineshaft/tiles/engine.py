"""The in-process engine: many entities of one view, the same timelines that the Flink jobs run."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from lineshaft.specs import View, block_end_us, row_schema
from lineshaft.tiles.plan import TilePlan
from lineshaft.tiles.rows import rows_table
from lineshaft.tiles.timeline import BlockTile, Timeline

ENTITY_COLUMNS = ("asset_id", "position")
REJECTS = pa.schema(
    [
        ("asset_id", pa.string()),
        ("position", pa.string()),
        ("start_us", pa.int64()),
        ("known_us", pa.int64()),
        ("reason", pa.string()),
    ]
)


def block_tiles(plan: TilePlan, blocks: pa.Table) -> Iterator[tuple[tuple[Any, ...], BlockTile]]:
    """Prepare blocks; return (entity key, block tile) pairs in row order. Shapes: see `BLOCK_SCHEMA`."""
    keys = [name for name, _ in plan.view.entity_keys]
    channels = len(plan.view.source.channels)
    for record, tile in zip(blocks.to_pylist(), plan.prepare(blocks), strict=True):
        samples = len(record["payload"]) // (4 if record["dtype"] == "f4" else 8) // channels
        yield (
            tuple(record[key] for key in keys),
            BlockTile(
                start_us=record["start_us"],
                end_us=block_end_us(record["start_us"], samples, record["rate_hz"]),
                sequence=record["sequence"],
                known_us=record["known_us"],
                tile=tile,
                lane=0 if "position" in keys else zlib.crc32(record["position"].encode()),
            ),
        )


class Engine:
    """Compute one view over any number of entities, in this process.

    `add` takes blocks (validated, BLOCK_SCHEMA) in any order and returns the refused ones with a reason;
    `advance(upto)` returns the row versions known by then.
    """

    def __init__(self, view: View) -> None:
        self.plan = TilePlan.of(view)
        self._timelines: dict[tuple[Any, ...], Timeline] = {}

    def add(self, blocks: pa.Table) -> pa.Table:
        """Take blocks; return the refused ones (REJECTS)."""
        refused = []
        for (key, block), asset, position in zip(
            block_tiles(self.plan, blocks), blocks["asset_id"].to_pylist(), blocks["position"].to_pylist(), strict=True
        ):
            timeline = self._timelines.get(key)
            if timeline is None:
                timeline = self._timelines[key] = Timeline(self.plan)
            reason = timeline.add(block)
            if reason:
                refused.append((asset, position, block.start_us, block.known_us, reason))
        return pa.table([list(column) for column in zip(*refused, strict=True)] or [[]] * 5, schema=REJECTS)

    def advance(self, upto_us: int) -> pa.Table:
        """Return feature rows with known_at <= upto that were not returned before, entity by entity."""
        view = self.plan.view
        names = [name for name, _ in view.entity_keys]
        tables = []
        for key, timeline in self._timelines.items():
            emitted = timeline.advance(upto_us)
            if len(emitted.tick_us):
                tables.append(rows_table(view, dict(zip(names, key, strict=True)), emitted))
        return pa.concat_tables(tables) if tables else row_schema(view).empty_table()
