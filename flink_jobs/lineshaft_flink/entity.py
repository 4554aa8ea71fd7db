"""One entity inside the keyed operator: its timelines, and what of them must be stored. Without Flink."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.tiles.plan import TilePlan
from lineshaft.tiles.timeline import BlockTile, Timeline
from lineshaft_flink.packing import RowBatch, TiledBlocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A block that a view's timeline refused."""

    view: str
    start_us: int
    known_us: int
    reason: str


class Entity:
    """The timelines of one entity, one per view of the feed.

    Buckets are named `<view number>:<tile end>`; they and the time advanced to are all the state there is.
    """

    def __init__(self, plans: Sequence[TilePlan]) -> None:
        self._plans = plans
        self._edges = np.cumsum([0, *(plan.width for plan in plans)])
        self._timelines = [Timeline(plan) for plan in plans]

    @staticmethod
    def restore(plans: Sequence[TilePlan], done_us: int, buckets: Iterable[tuple[str, bytes]]) -> Entity:
        """Rebuild it from stored buckets."""
        parts: list[list[bytes]] = [[] for _ in plans]
        for name, data in buckets:
            parts[int(name.partition(":")[0])].append(data)
        entity = Entity(plans)
        entity._timelines = [Timeline.restore(plan, done_us, part) for plan, part in zip(plans, parts, strict=True)]
        return entity

    def add(self, blocks: TiledBlocks) -> list[Refused]:
        """Take blocks; return those refused."""
        refused = []
        columns = blocks.times.tolist()
        for number, timeline in enumerate(self._timelines):
            tiles = blocks.tiles[:, self._edges[number] : self._edges[number + 1]]
            for start, end, sequence, known, lane, tile in zip(*columns, tiles, strict=True):
                reason = timeline.add(
                    BlockTile(start_us=start, end_us=end, sequence=sequence, known_us=known, tile=tile, lane=lane)
                )
                if reason:
                    refused.append(Refused(view=timeline.plan.view.ref, start_us=start, known_us=known, reason=reason))
        return refused

    def advance(self, upto_us: int, *, after_us: int) -> dict[str, RowBatch]:
        """Return, by view, the row versions due up to and with `upto_us` and known after `after_us`."""
        out = {}
        for timeline in self._timelines:
            emitted = timeline.advance(upto_us)
            rows = RowBatch(tick_us=emitted.tick_us, known_us=emitted.known_us, values=emitted.values)
            if len(rows) and rows.known_us[0] <= after_us:
                rows = rows.rows(rows.known_us > after_us)
            if len(rows):
                out[timeline.plan.view.ref] = rows
        return out

    def next_due_us(self) -> int | None:
        """Return when rows are next due; None if nothing waits."""
        due = [at for at in (timeline.next_due_us() for timeline in self._timelines) if at is not None]
        return min(due) if due else None

    def changes(self) -> Mapping[str, bytes | None]:
        """Return the buckets to store (None: to remove) since the last call."""
        return {
            f"{number}:{end}": data
            for number, timeline in enumerate(self._timelines)
            for end, data in timeline.take_changes().items()
        }

    @property
    def disordered(self) -> int:
        """Return how many blocks came after their time had been answered: the lag was too short for them."""
        return sum(timeline.disordered for timeline in self._timelines)


def first_due_us(plans: Sequence[TilePlan], blocks: TiledBlocks) -> int:
    """Return the earliest known time at which any of these blocks makes a row, in any view."""
    _, end, _, known, _ = blocks.times
    return min(_first_due(plan, end, known) for plan in plans)


def _first_due(plan: TilePlan, end: NDArray[np.int64], known: NDArray[np.int64]) -> int:
    view = plan.view
    tile = -(-end // view.tile_us) * view.tile_us + view.grace_us
    seen = -(-(known - view.grace_us) // view.tile_us) * view.tile_us + view.grace_us
    return int(np.maximum(tile, seen).min())
