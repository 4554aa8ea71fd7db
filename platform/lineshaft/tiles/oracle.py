"""The judge of every path: features by brute force, for the project's tests and for users' own.

The oracle knows no lateness rule but the definition. For every time K on the grid at which some block became known, it
takes the blocks known by K, folds the blocks of each tile that changed one by one, and writes down which ticks have
another answer now. The answer of tick T as known at K then folds, tile by tile on the grid from T backwards, the newest
version known at K of each tile in the window. It shares nothing with the timeline it judges but the kernels, keeps no
running state between ticks, and prepares and finishes one row at a time, so that no batch can change a bit.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.specs import View, row_schema, tile_end_us
from lineshaft.tiles.algebra import Floats
from lineshaft.tiles.comparison import sort_rows
from lineshaft.tiles.engine import block_tiles
from lineshaft.tiles.plan import TilePlan
from lineshaft.tiles.rows import rows_table
from lineshaft.tiles.timeline import BlockTile, Emitted

AT_ONCE = 4096
"""Answers folded side by side: each by itself, in the same order; the number only bounds memory."""

Integers = NDArray[np.int64]
Blocks = dict[tuple[int, int, int, int], BlockTile]


def oracle_rows(view: View, blocks: pa.Table, *, at_once: int = AT_ONCE) -> pa.Table:
    """Return every row version that `blocks` (BLOCK_SCHEMA, any order) make, in the order of `sort_rows`."""
    plan = TilePlan.of(view)
    entities: dict[tuple[Any, ...], list[BlockTile]] = defaultdict(list)
    for batch in blocks.to_batches():
        for row in range(batch.num_rows):  # one block at a time: no batch can change a bit
            for key, block in block_tiles(plan, batch.slice(row, 1)):
                entities[key].append(block)
    names = [name for name, _ in view.entity_keys]
    tables = [
        rows_table(view, dict(zip(names, key, strict=True)), _entity(plan, known, at_once))
        for key, known in entities.items()
    ]
    return sort_rows(view, pa.concat_tables([row_schema(view).empty_table(), *tables]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """What one entity's blocks made known: tile versions (end, known, tile), and the answers (tick, known) they move.

    `baselines` has one entry an answer: the merged first tiles as known then, or None where no feature asks.
    """

    versions: list[tuple[int, int, Floats]]
    answers: list[tuple[int, int]]
    baselines: list[Floats | None]


def _entity(plan: TilePlan, blocks: list[BlockTile], at_once: int) -> Emitted:
    history = _history(plan, blocks)
    tiles = _Versions.of(history.versions)
    asked = np.array(history.answers, dtype=np.int64).reshape(-1, 2)
    values = np.empty((len(asked), len(plan.functions)))
    for start in range(0, len(asked), at_once):
        part = asked[start : start + at_once]
        windows = {window: _window(plan, tiles, part[:, 0], part[:, 1], window) for window in plan.windows_us}
        for row in range(len(part)):
            own = {window: merged[row : row + 1] for window, merged in windows.items()}
            values[start + row] = plan.finish(own, history.baselines[start + row])[0]
    return Emitted(tick_us=asked[:, 0], known_us=asked[:, 1], values=values)


def _history(plan: TilePlan, blocks: list[BlockTile]) -> _History:
    """Play the blocks in the order in which they became visible."""
    view = plan.view
    arrivals: dict[int, list[BlockTile]] = defaultdict(list)
    for block in blocks:
        if block.known_us - block.end_us <= view.lateness_us:
            arrivals[_visible(view, block)].append(block)
    history = _History(versions=[], answers=[], baselines=[])
    known: dict[int, Blocks] = {}
    ends: list[int] = []
    newest: dict[int, Floats] = {}
    baseline: Floats | None = np.full((1, plan.width), np.nan) if plan.baseline_tiles else None
    for now in sorted(arrivals):
        changed = _learn(known, arrivals[now], view)
        for end in sorted(changed):
            if end not in newest:
                insort(ends, end)
            newest[end] = _fold(plan, known[end])
            history.versions.append((end, now, newest[end]))
        first = ends[: plan.baseline_tiles]
        if changed.intersection(first) and len(first) == plan.baseline_tiles:
            baseline = _merged(plan, [newest[end] for end in first])[None, :]
        for tick in _moved(ends, changed, first, plan.windows_us[-1]):
            early = not first or len(first) < plan.baseline_tiles or tick < first[-1]
            history.answers.append((tick, now))
            history.baselines.append(baseline if not early or baseline is None else np.full((1, plan.width), np.nan))
    return history


def _visible(view: View, block: BlockTile) -> int:
    """Return the grid time from which a block counts: its tile's own, or the first one after its receipt."""
    own = tile_end_us(block.end_us, view.tile_us) + view.grace_us
    return max(own, tile_end_us(block.known_us - view.grace_us, view.tile_us) + view.grace_us)


def _learn(known: dict[int, Blocks], arrived: list[BlockTile], view: View) -> set[int]:
    """Take in blocks that became known; under one key the newest other tile wins. Return the tiles that changed."""
    changed: set[int] = set()
    for block in sorted(arrived, key=_rank):
        end = tile_end_us(block.end_us, view.tile_us)
        tile = known.setdefault(end, {})
        held = tile.get(block.key)
        if held is None or (_rank(held)[1] != _rank(block)[1] and _rank(block) > _rank(held)):
            tile[block.key] = block
            changed.add(end)
    return changed


def _rank(block: BlockTile) -> tuple[int, bytes]:
    return block.known_us, block.tile.tobytes()


def _moved(ends: list[int], changed: set[int], first: list[int], reach_us: int) -> list[int]:
    """Return the ticks whose widest window, or whose baseline, holds a tile that changed."""
    ticks: set[int] = set()
    for end in changed:
        stop = len(ends) if end in first else bisect_left(ends, end + reach_us)
        ticks.update(ends[bisect_left(ends, end) : stop])
    return sorted(ticks)


def _fold(plan: TilePlan, blocks: Blocks) -> Floats:
    return _merged(plan, [blocks[key].tile for key in sorted(blocks)])


def _merged(plan: TilePlan, tiles: list[Floats]) -> Floats:
    """Merge tiles one by one, the earliest first."""
    merged, *others = tiles
    for tile in others:
        merged = plan.merge(merged, tile)
    return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class _Versions:
    """Tile versions in order of (end, known): which one was the newest at a moment is looked up, never carried on."""

    ends: Integers  # each tile once
    times: Integers  # each known time once
    order: Integers  # of each version: its tile's place times the count of times, plus its time's place
    tiles: Floats

    @staticmethod
    def of(versions: list[tuple[int, int, Floats]]) -> _Versions:
        ordered = sorted(versions, key=lambda version: version[:2])
        columns = np.array([version[:2] for version in ordered], dtype=np.int64).reshape(-1, 2)
        ends, end_places = np.unique(columns[:, 0], return_inverse=True)
        times, time_places = np.unique(columns[:, 1], return_inverse=True)
        order = end_places * len(times) + time_places
        return _Versions(ends=ends, times=times, order=order, tiles=np.array([version[2] for version in ordered]))

    def newest(self, end_us: Integers, now_us: Integers) -> tuple[Integers, Integers]:
        """Return (rows, versions): of the rows whose tile was known at their moment, the newest version then."""
        place = np.minimum(np.searchsorted(self.ends, end_us), len(self.ends) - 1)
        (rows,) = np.nonzero(self.ends[place] == end_us)
        base = place[rows] * len(self.times)
        found = np.searchsorted(self.order, base + np.searchsorted(self.times, now_us[rows]), side="right") - 1
        known = (found >= 0) & (self.order[found] >= base)
        return rows[known], found[known]


def _window(plan: TilePlan, tiles: _Versions, ticks: Integers, now_us: Integers, window_us: int) -> Floats:
    """Fold one window of each (tick, known time): from the tick's own tile backwards, tile by tile on the grid."""
    rows, found = tiles.newest(ticks, now_us)
    merged = tiles.tiles[found]
    for back in range(plan.view.tile_us, window_us, plan.view.tile_us):
        rows, found = tiles.newest(ticks - back, now_us)
        if len(rows):
            merged[rows] = plan.merge(tiles.tiles[found], merged[rows])
    return merged
