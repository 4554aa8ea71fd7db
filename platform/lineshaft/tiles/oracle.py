"""The judge of every path: features by brute force, for the project's tests and for users' own.

The oracle batches nothing and knows no lateness rule but the definition: for every time K on the grid at which some
block became known, take the blocks known by K, and for every tick whose windows changed, fold the blocks of each window
one by one. It is slow, and short enough to be read in a minute.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.specs import View, row_schema, tile_end_us
from lineshaft.tiles.algebra import Floats
from lineshaft.tiles.engine import block_tiles
from lineshaft.tiles.plan import TilePlan
from lineshaft.tiles.rows import rows_table
from lineshaft.tiles.timeline import BlockTile, Emitted

__all__ = ["Comparison", "compare_rows", "differing_values", "oracle_rows", "sort_rows"]


def oracle_rows(view: View, blocks: pa.Table) -> pa.Table:
    """Return every row version the blocks make, by brute force, sorted by `sort_rows`."""
    plan = TilePlan.of(view)
    entities: dict[tuple[Any, ...], list[BlockTile]] = defaultdict(list)
    for row in range(blocks.num_rows):  # one block at a time: no batch can change a bit
        for key, block in block_tiles(plan, blocks.slice(row, 1)):
            entities[key].append(block)
    names = [name for name, _ in view.entity_keys]
    tables = [
        rows_table(view, dict(zip(names, key, strict=True)), _entity(plan, known)) for key, known in entities.items()
    ]
    return sort_rows(view, pa.concat_tables([row_schema(view).empty_table(), *tables]))


def _entity(plan: TilePlan, blocks: list[BlockTile]) -> Emitted:
    view = plan.view
    accepted = [b for b in blocks if b.known_us - b.end_us <= view.lateness_us]
    emitted: list[tuple[int, int, Floats]] = []
    known: dict[tuple[int, int, int, int], BlockTile] = {}
    tiles: dict[int, Floats] = {}
    for now in sorted({_visible(view, b) for b in accepted}):
        arrived = [b for b in accepted if _visible(view, b) == now]
        changed = _learn(known, arrived, view)
        for end in changed:
            tiles[end] = _fold(plan, [b for b in known.values() if tile_end_us(b.end_us, view.tile_us) == end])
        first = set(sorted(tiles)[: plan.baseline_tiles])
        told = [
            tick
            for tick in sorted(tiles)
            if any(end <= tick and (tick - end < plan.windows_us[-1] or end in first) for end in changed)
        ]
        emitted += [(tick, now, _values(plan, tiles, tick)) for tick in told]
    return Emitted(
        tick_us=np.array([tick for tick, _, _ in emitted], dtype=np.int64),
        known_us=np.array([now for _, now, _ in emitted], dtype=np.int64),
        values=np.array([values for _, _, values in emitted]).reshape(len(emitted), len(plan.functions)),
    )


def _visible(view: View, block: BlockTile) -> int:
    """Return the grid time from which a block counts: its tile's own, or the first one after its receipt."""
    own = tile_end_us(block.end_us, view.tile_us) + view.grace_us
    return max(own, tile_end_us(block.known_us - view.grace_us, view.tile_us) + view.grace_us)


def _learn(known: dict[tuple[int, int, int, int], BlockTile], arrived: list[BlockTile], view: View) -> set[int]:
    """Take in blocks that became known; of repeats the newest other content wins. Return the tiles that changed."""
    before = dict(known)
    for block in sorted(arrived, key=lambda b: (b.known_us, b.digest)):
        held = known.get(block.key)
        if held is None or (
            held.digest != block.digest and (block.known_us, block.digest) > (held.known_us, held.digest)
        ):
            known[block.key] = block
    return {tile_end_us(b.end_us, view.tile_us) for key, b in known.items() if before.get(key) is not b}


def _fold(plan: TilePlan, blocks: list[BlockTile]) -> Floats:
    first, *others = sorted(blocks, key=lambda b: b.key)
    tile = first.tile
    for block in others:
        tile = plan.merge(tile, block.tile)
    return tile


def _values(plan: TilePlan, tiles: dict[int, Floats], tick: int) -> Floats:
    windows = {}
    for window in plan.windows_us:
        newest, *older = [tiles[end] for end in range(tick, tick - window, -plan.view.tile_us) if end in tiles]
        for tile in older:
            newest = plan.merge(tile, newest)
        windows[window] = newest[None, :]
    values: Floats = plan.finish(windows, _baseline(plan, tiles, tick))[0]
    return values


def _baseline(plan: TilePlan, tiles: dict[int, Floats], tick: int) -> Floats | None:
    if not plan.baseline_tiles:
        return None
    first = sorted(tiles)[: plan.baseline_tiles]
    if len(first) < plan.baseline_tiles or tick < first[-1]:
        return np.full((1, plan.width), np.nan)
    merged = tiles[first[0]]
    for end in first[1:]:
        merged = plan.merge(merged, tiles[end])
    return merged[None, :]


def sort_rows(view: View, rows: pa.Table) -> pa.Table:
    """Return rows in one order: join keys, event_time, known_at."""
    order = [*(name for name, _ in view.entity_keys), "event_time", "known_at"]
    return rows.sort_by([(name, "ascending") for name in order]).combine_chunks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two tables of rows compared bit for bit.

    missing and extra are rows that one side alone has (by keys, event_time and known_at); differing counts values
    whose bits, or whose being null, differ in rows that both have.
    """

    rows: int
    values: int
    missing: int
    extra: int
    differing: int

    @property
    def equal(self) -> bool:
        """Tell whether nothing is missing, extra or different."""
        return not (self.missing or self.extra or self.differing)

    def __add__(self, other: Comparison) -> Comparison:
        """Add up the counts of two comparisons."""
        return Comparison(
            rows=self.rows + other.rows,
            values=self.values + other.values,
            missing=self.missing + other.missing,
            extra=self.extra + other.extra,
            differing=self.differing + other.differing,
        )


def compare_rows(view: View, ours: pa.Table, truth: pa.Table) -> Comparison:
    """Compare two tables of a view's feature rows bit for bit."""
    keys = [*(name for name, _ in view.entity_keys), "event_time", "known_at"]
    left, right = sort_rows(view, ours), sort_rows(view, truth)
    left_ids = list(zip(*(_plain(left[k]) for k in keys), strict=True))
    right_ids = list(zip(*(_plain(right[k]) for k in keys), strict=True))
    places = {identity: i for i, identity in enumerate(right_ids)}
    pairs = [(i, places[identity]) for i, identity in enumerate(left_ids) if identity in places]
    mine = pa.array([i for i, _ in pairs], pa.int64())
    theirs = pa.array([i for _, i in pairs], pa.int64())
    return Comparison(
        rows=right.num_rows,
        values=len(pairs) * len(view.features),
        missing=right.num_rows - len({place for _, place in pairs}),
        extra=left.num_rows - len({place for _, place in pairs}),
        differing=sum(differing_values(left[name].take(mine), right[name].take(theirs)) for name in view.feature_names),
    )


def _plain(column: pa.ChunkedArray) -> list[Any]:
    plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    values: list[Any] = plain.to_pylist()
    return values


def differing_values(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int:
    """Count the places where two columns differ in a bit or in being null."""
    if pa.types.is_float64(left.type):
        bits = []
        for side in (left, right):
            valid = np.asarray(side.is_valid())
            values = np.asarray(side.fill_null(0.0).to_numpy(), dtype=np.float64)
            bits.append((valid, values.view(np.int64)))
        (valid_a, a), (valid_b, b) = bits
        return int(((valid_a != valid_b) | (a != b)).sum())
    return sum(a != b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True))
