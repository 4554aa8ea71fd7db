"""One entity's history in one view: which row versions its blocks make, and when each became known.

Rows and their versions are a pure function of the blocks. Receipt time (`known_us`) is the timeline, event time data:
a tick T is first answered at K = T + grace from the blocks received by then; a block received later corrects the ticks
whose windows hold it, at the next grid point. So a stream that advances minute by minute and a backfill that advances
once over years emit the same rows, with the same `known_at`, bit for bit.
"""

from __future__ import annotations

import heapq
import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from lineshaft.specs import tile_end_us
from lineshaft.tiles.algebra import Floats
from lineshaft.tiles.plan import TilePlan

TOO_LATE = "too_late"
OUT_OF_ORDER = "out_of_order"
_HEAD = struct.Struct("<qqqqqI")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockTile:
    """A block as the timeline keeps it: its identity, its times and its tile."""

    start_us: int
    end_us: int
    sequence: int
    known_us: int
    tile: Floats  # (plan width,)
    lane: int = 0  # tells positions apart where the entity spans several

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Return what makes two blocks the same one, in fold order."""
        return (self.start_us, self.end_us, self.sequence, self.lane)

    def replaces(self, held: BlockTile) -> bool:
        """Tell whether this block takes the place of another of its key: known later, and with another tile.

        Of two known at once the one with the larger bytes stays, so that their order does not matter.
        """
        ours, theirs = self.tile.tobytes(), held.tile.tobytes()
        return ours != theirs and (self.known_us, ours) > (held.known_us, theirs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """Row versions: tick and known time (int64 microseconds, n), values (n, n_features), NaN where undefined."""

    tick_us: NDArray[np.int64]
    known_us: NDArray[np.int64]
    values: Floats


@dataclass(slots=True)
class _Bucket:
    blocks: dict[tuple[int, int, int, int], tuple[int, BlockTile]] = field(default_factory=dict)  # applied
    waiting: list[tuple[int, BlockTile]] = field(default_factory=list)  # (visible at, block)


class Timeline:
    """The blocks of one entity, and the rows they make.

    Blocks are added in any order; `advance(upto)` returns each row version with known time <= upto once.
    State is kept in buckets by tile, so that a job can store what changed (`take_changes`) and come back (`restore`).
    """

    def __init__(self, plan: TilePlan) -> None:
        self.plan = plan
        self.done_us = -(2**62)
        self._buckets: dict[int, _Bucket] = {}
        self._ends: list[int] = []  # tiles with applied blocks, ascending
        self._tiles: dict[int, Floats] = {}  # folded, of those
        self._queue: list[int] = []  # heap of times at which something waits
        self._changed: set[int] = set()
        self.disordered = 0  # blocks that came after their time was already answered

    # ---- in ----------------------------------------------------------------------------------------------------

    def add(self, block: BlockTile) -> str | None:
        """Take a block; return the reason if it is refused."""
        view = self.plan.view
        if block.known_us - block.end_us > view.lateness_us:
            return TOO_LATE
        end = tile_end_us(block.end_us, view.tile_us)
        visible = max(end + view.grace_us, self._grid(block.known_us))
        if visible <= self.done_us:
            self.disordered += 1
            if end - self.plan.windows_us[-1] < self._horizon():
                return OUT_OF_ORDER  # tiles beside it may be forgotten: no row that it belongs to would be right
            visible = self._grid(self.done_us + 1)
        self._wait(end, visible, block)
        self._changed.add(end)
        return None

    def next_due_us(self) -> int | None:
        """Return the next known time at which rows will be due; None if nothing waits."""
        return self._queue[0] if self._queue else None

    # ---- out ---------------------------------------------------------------------------------------------------

    def advance(self, upto_us: int) -> Emitted:
        """Return the row versions with known time <= upto that were not returned before, in order of known time."""
        parts: list[Emitted] = []
        run: list[int] = []  # ticks answered on time since the last correction: folded and answered together
        grace = self.plan.view.grace_us
        for visible, group in groupby(self._due(upto_us), key=lambda item: item[0]):
            arrivals = [(end, block) for _, end, block in group]
            if all(end + grace == visible for end, _ in arrivals):
                run += self._apply(arrivals, visible)[0]
                continue
            self._refold(run)
            parts += self._rows(run)
            run = []
            fresh, late = self._apply(arrivals, visible)
            self._refold([*fresh, *sorted(late)])
            parts += self._rows(sorted({*fresh, *self._dirty(late, visible)}), known_us=visible)
        self._refold(run)
        parts += self._rows(run)
        self.done_us = max(self.done_us, upto_us)
        self._evict()
        if not parts:
            nothing = np.empty(0, dtype=np.int64)
            return Emitted(tick_us=nothing, known_us=nothing, values=np.empty((0, len(self.plan.functions))))
        return Emitted(
            tick_us=np.concatenate([p.tick_us for p in parts]),
            known_us=np.concatenate([p.known_us for p in parts]),
            values=np.concatenate([p.values for p in parts]),
        )

    def _due(self, upto_us: int) -> list[tuple[int, int, BlockTile]]:
        due: list[tuple[int, int, BlockTile]] = []
        if not self._queue or self._queue[0] > upto_us:
            return due
        for end, bucket in self._buckets.items():
            ready = [item for item in bucket.waiting if item[0] <= upto_us]
            if ready:
                bucket.waiting = [item for item in bucket.waiting if item[0] > upto_us]
                due += [(visible, end, block) for visible, block in ready]
        while self._queue and self._queue[0] <= upto_us:
            heapq.heappop(self._queue)
        return sorted(due, key=lambda d: (d[0], d[2].known_us))

    def _apply(self, arrivals: list[tuple[int, BlockTile]], visible: int) -> tuple[list[int], set[int]]:
        """Put blocks into their tiles; return the tiles now due for the first time, and those changed late."""
        fresh: set[int] = set()
        late: set[int] = set()
        for end, block in arrivals:
            bucket = self._buckets[end]
            held = bucket.blocks.get(block.key)
            self._changed.add(end)
            if held is not None and not block.replaces(held[1]):
                continue
            bucket.blocks[block.key] = (visible, block)
            if end + self.plan.view.grace_us == visible:
                fresh.add(end)
            else:
                late.add(end)
        return sorted(fresh), late

    def _dirty(self, late: set[int], visible: int) -> set[int]:
        """Return the ticks already answered whose windows, or whose baseline, hold a tile that changed."""
        plan = self.plan
        newest = visible - plan.view.grace_us
        reach = plan.windows_us[-1]
        ends = self._ends
        baseline_end = ends[: plan.baseline_tiles][-1] if plan.baseline_tiles else 0
        dirty: set[int] = set()
        for end in late:
            until = newest if plan.baseline_tiles and end <= baseline_end else min(newest, end + reach - 1)
            dirty.update(ends[bisect_left(ends, end) : bisect_right(ends, until)])
        return dirty

    def _refold(self, ends: list[int]) -> None:
        """Fold the blocks of tiles anew, in order of start, sequence and position."""
        if not ends:
            return
        blocks: list[Floats] = []
        bounds = [0]
        for end in ends:
            held = self._buckets[end].blocks
            blocks += [held[key][1].tile for key in sorted(held)]
            bounds.append(len(blocks))
        edges = np.asarray(bounds, dtype=np.int64)
        folded = self.plan.fold(np.stack(blocks), edges[:-1], edges[1:])
        for end, tile in zip(ends, folded, strict=True):
            if end not in self._tiles:
                insort(self._ends, end)
            self._tiles[end] = tile

    def _rows(self, ticks: list[int], *, known_us: int | None = None) -> list[Emitted]:
        """Answer ticks (ascending) from the tiles as they are now."""
        if not ticks:
            return []
        plan = self.plan
        low = bisect_right(self._ends, ticks[0] - plan.windows_us[-1])
        high = bisect_right(self._ends, ticks[-1])
        ends = np.asarray(self._ends[low:high], dtype=np.int64)
        tiles = np.stack([self._tiles[end] for end in self._ends[low:high]])
        tick_us = np.asarray(ticks, dtype=np.int64)
        windows = plan.windows(ends, tiles, np.searchsorted(ends, tick_us))
        values = plan.finish(windows, self._baseline(tick_us))
        known = tick_us + plan.view.grace_us if known_us is None else np.full_like(tick_us, known_us)
        return [Emitted(tick_us=tick_us, known_us=known, values=values)]

    def _baseline(self, tick_us: NDArray[np.int64]) -> Floats | None:
        count = self.plan.baseline_tiles
        if not count:
            return None
        baseline = np.full((len(tick_us), self.plan.width), np.nan)
        if len(self._ends) >= count:
            first = np.stack([self._tiles[end] for end in self._ends[:count]])
            merged = self.plan.fold(first, np.array([0]), np.array([count]))
            baseline[tick_us >= self._ends[count - 1]] = merged[0]
        return baseline

    # ---- state -------------------------------------------------------------------------------------------------

    def take_changes(self) -> dict[int, bytes | None]:
        """Return the buckets changed since the last call, by tile end; None marks an evicted one."""
        changes = {end: self._bucket_bytes(end) for end in sorted(self._changed)}
        self._changed.clear()
        return changes

    @staticmethod
    def restore(plan: TilePlan, done_us: int, buckets: Iterable[bytes]) -> Timeline:
        """Rebuild a timeline from its buckets' bytes and the time it had advanced to."""
        timeline = Timeline(plan)
        timeline.done_us = done_us
        size = _HEAD.size + 8 * plan.width
        applied: set[int] = set()
        for data in buckets:
            for at in range(0, len(data), size):
                start, end, sequence, known, visible, lane = _HEAD.unpack_from(data, at)
                tile = np.frombuffer(data, dtype="<f8", count=plan.width, offset=at + _HEAD.size)
                block = BlockTile(start_us=start, end_us=end, sequence=sequence, known_us=known, tile=tile, lane=lane)
                tile_end = tile_end_us(end, plan.view.tile_us)
                if visible <= done_us:
                    timeline._buckets.setdefault(tile_end, _Bucket()).blocks[block.key] = (visible, block)
                    applied.add(tile_end)
                else:
                    timeline._wait(tile_end, visible, block)
        timeline._refold(sorted(applied))
        return timeline

    def _bucket_bytes(self, end: int) -> bytes | None:
        bucket = self._buckets.get(end)
        if bucket is None:
            return None
        parts: list[bytes] = []
        for visible, b in [*(bucket.blocks[key] for key in sorted(bucket.blocks)), *bucket.waiting]:
            parts.append(_HEAD.pack(b.start_us, b.end_us, b.sequence, b.known_us, visible, b.lane))
            parts.append(np.ascontiguousarray(b.tile, dtype="<f8").tobytes())
        return b"".join(parts)

    def _evict(self) -> None:
        """Forget tiles that no acceptable block can change any more and no window reaches; keep the baseline's."""
        keep = self.plan.baseline_tiles
        gone = self._ends[keep : bisect_right(self._ends, self._horizon())]
        for end in gone:
            if not self._buckets[end].waiting:
                del self._buckets[end], self._tiles[end]
                self._ends.remove(end)
                self._changed.add(end)

    def _horizon(self) -> int:
        """Return the end of the newest tile that may be forgotten."""
        view = self.plan.view
        return self.done_us - view.grace_us - view.lateness_us - 2 * self.plan.windows_us[-1] - view.tile_us

    def _wait(self, end: int, visible: int, block: BlockTile) -> None:
        self._buckets.setdefault(end, _Bucket()).waiting.append((visible, block))
        heapq.heappush(self._queue, visible)

    def _grid(self, at_us: int) -> int:
        """Return the first time >= at_us on the grid tick + grace."""
        view = self.plan.view
        return tile_end_us(at_us - view.grace_us, view.tile_us) + view.grace_us
