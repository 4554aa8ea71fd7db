"""A view's computation, decided once: which numbers a tile holds, and how windows of tiles become features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.specs import View
from lineshaft.specs.bearings import Bearing
from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Aggregator, Context, Floats, Function, Samples

NO_ORDERS = (np.nan, np.nan, np.nan, np.nan)
BATCH = 131_072
"""Samples of a channel summarised at once: 1 MB of float64 stays in a core's own cache."""

_DTYPES: dict[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "f8": np.dtype("<f8")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Where one aggregator's numbers lie in a tile: channels x width, from `start`."""

    aggregator: Aggregator
    channels: tuple[int, ...]
    start: int
    width: int

    def cut(self, tiles: Floats) -> Floats:
        """View the segment of tiles (..., plan width) as (..., channels, width)."""
        part = tiles[..., self.start : self.start + self.width * len(self.channels)]
        return part.reshape(*part.shape[:-1], len(self.channels), self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePlan:
    """How one view is computed. Make it with `TilePlan.of(view)`; everything per request is already decided here."""

    view: View
    functions: tuple[Function, ...]
    columns: tuple[int, ...]  # channel index of each feature
    segments: tuple[Segment, ...]
    width: int
    windows_us: tuple[int, ...]  # ascending
    baseline_tiles: int  # how many first tiles of an entity any feature compares with; 0 if none

    @staticmethod
    def of(view: View) -> TilePlan:
        """Decide the plan of a view.

        Raises `DefinitionError` for an unknown function, `InputError` for a column its source lacks.
        """
        functions = tuple(catalogue.function(f.function) for f in view.features)
        index = {name: i for i, name in enumerate(view.source.channels)}
        for feature in view.features:
            if feature.column not in index:
                raise InputError(
                    f"feature {feature.name!r} reads {feature.column!r}, which source {view.source.name!r} lacks",
                    where=view.where or view.name,
                    fix=f"use one of {', '.join(view.source.channels)}",
                )
        columns = tuple(index[f.column] for f in view.features)
        used: dict[str, tuple[Aggregator, set[int]]] = {}
        for function, column in zip(functions, columns, strict=True):
            for aggregator in function.needs:
                used.setdefault(aggregator.key, (aggregator, set()))[1].add(column)
        segments, start = [], 0
        for aggregator, channels in used.values():
            width = len(aggregator.fields)
            segments.append(Segment(aggregator=aggregator, channels=tuple(sorted(channels)), start=start, width=width))
            start += width * len(channels)
        return TilePlan(
            view=view,
            functions=functions,
            columns=columns,
            segments=tuple(segments),
            width=start,
            windows_us=tuple(sorted({f.window_us for f in view.features})),
            baseline_tiles=max((f.baseline_tiles for f in functions), default=0),
        )

    def prepare(self, blocks: pa.Table | pa.RecordBatch) -> Floats:
        """Summarise blocks (BLOCK_SCHEMA columns): one tile per block, (n_blocks, width), in row order."""
        out = np.empty((len(blocks), self.width))
        for rows, samples in sample_batches(blocks, len(self.view.source.channels)):
            for segment in self.segments:
                cut = segment.cut(out)
                for slot, channel in enumerate(segment.channels):
                    cut[rows, slot] = segment.aggregator.prepare(samples[channel])
        return out

    def merge(self, left: Floats, right: Floats) -> Floats:
        """Merge consecutive tiles, `left` the earlier: (..., width) each."""
        out = np.empty(np.broadcast_shapes(left.shape, right.shape))
        for segment in self.segments:
            segment.cut(out)[...] = segment.aggregator.merge(segment.cut(left), segment.cut(right))
        return out

    def fold(self, tiles: Floats, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Floats:
        """Fold runs tiles[start:stop] (each non-empty) from left to right: (n_runs, width)."""
        order = np.argsort(starts - stops, kind="stable")  # longest first: those still going on are always the first
        firsts, lengths = starts[order], (stops - starts)[order]
        folded = tiles[firsts]
        going = [np.count_nonzero(lengths > step) for step in range(1, int(lengths.max(initial=0)))]
        for segment in self.segments:
            merged, parts = segment.cut(folded), segment.cut(tiles)
            for step, runs in enumerate(going, start=1):
                merged[:runs] = segment.aggregator.merge(merged[:runs], parts[firsts[:runs] + step])
        out = np.empty_like(folded)
        out[order] = folded
        return out

    def windows(self, ends_us: NDArray[np.int64], tiles: Floats, ticks: NDArray[np.int64]) -> dict[int, Floats]:
        """Merge, per window length, the tiles in (T - window, T] for each tick index into `ends_us`.

        Tiles are merged from the newest backwards, so that one pass serves every window length.
        """
        merged = tiles[ticks].copy()
        out = {window: merged.copy() for window in self.windows_us}
        step = 0
        while True:
            step += 1
            older = ticks - step
            inside = (older >= 0) & (ends_us[older] > ends_us[ticks] - self.windows_us[-1])
            (rows,) = np.nonzero(inside)
            if not len(rows):
                return out
            merged[rows] = self.merge(tiles[older[rows]], merged[rows])
            for window in self.windows_us:
                reach = rows[ends_us[older[rows]] > ends_us[ticks[rows]] - window]
                out[window][reach] = merged[reach]

    def finish(self, windows: dict[int, Floats], baseline: Floats | None = None) -> Floats:
        """Turn merged windows (n, width) into feature values (n, n_features), NaN where undefined.

        baseline: (n, width) merged first tiles of the entity, NaN rows until complete; None if no feature asks.
        """
        rows = len(next(iter(windows.values())))
        values = np.empty((rows, len(self.functions)))
        states = {window: self._states(tiles, baseline) for window, tiles in windows.items()}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for i, (feature, function) in enumerate(zip(self.view.features, self.functions, strict=True)):
                state = states[feature.window_us][self.columns[i]]
                values[:, i] = function.finish(state, Context(window_s=feature.window_us / 1e6))
        values[~np.isfinite(values)] = np.nan
        return values

    def _states(self, tiles: Floats, baseline: Floats | None) -> list[dict[str, Floats]]:
        states: list[dict[str, Floats]] = [{} for _ in self.view.source.channels]
        for segment in self.segments:
            cut = segment.cut(tiles)
            base = None if baseline is None else segment.cut(baseline)
            for slot, channel in enumerate(segment.channels):
                states[channel][segment.aggregator.key] = cut[..., slot, :]
                if base is not None:
                    states[channel][f"baseline:{segment.aggregator.key}"] = base[..., slot, :]
        return states


def payload_views(payloads: pa.ChunkedArray | pa.Array) -> list[memoryview]:
    """Return the bytes of each value of a binary column, none of them copied; a null is empty."""
    views: list[memoryview] = []
    for chunk in payloads.chunks if isinstance(payloads, pa.ChunkedArray) else [payloads]:
        _, places, data = chunk.buffers()
        if places is None or data is None:
            views += [memoryview(b"")] * len(chunk)
            continue
        kind = np.int64 if pa.types.is_large_binary(chunk.type) else np.int32
        ends = np.frombuffer(places, dtype=kind)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        whole = memoryview(data)
        views += [whole[start:end] for start, end in pairwise(ends)]
    return views


def sample_batches(
    blocks: pa.Table | pa.RecordBatch, n_channels: int
) -> Iterator[tuple[NDArray[np.int64], list[Samples]]]:
    """Group blocks that share length, rate and type; yield (row numbers, one Samples per channel).

    No more of them at once than a core's own cache holds as float64; a block's tile does not depend on the others.
    """
    payloads = payload_views(blocks["payload"])
    rates = blocks["rate_hz"].to_numpy()
    groups: dict[tuple[int, float, str], list[int]] = {}
    for row, shape in enumerate(zip(map(len, payloads), rates.tolist(), blocks["dtype"].to_pylist(), strict=True)):
        groups.setdefault(shape, []).append(row)
    starts = blocks["start_us"].to_numpy()
    shafts, scales = _floats(blocks, "shaft_hz"), _floats(blocks, "full_scale")
    orders = bearing_orders(blocks["bearing"].to_pylist())
    for (size, rate, dtype), members in groups.items():
        length = size // _DTYPES[dtype].itemsize // n_channels
        step = max(1, BATCH // max(1, length))
        for at in range(0, len(members), step):
            rows = np.asarray(members[at : at + step])
            raw = np.frombuffer(b"".join([payloads[row] for row in rows]), dtype=_DTYPES[dtype])
            shaped = raw.reshape(len(rows), n_channels, length)
            per_channel = [
                Samples(
                    values=np.ascontiguousarray(shaped[:, channel], dtype=np.float64),
                    rate_hz=rate,
                    start_us=starts[rows],
                    shaft_hz=shafts[rows],
                    full_scale=scales[rows],
                    orders=orders[rows],
                )
                for channel in range(n_channels)
            ]
            yield rows, per_channel


def _floats(table: pa.Table | pa.RecordBatch, name: str) -> Floats:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)


def bearing_orders(bearings: Sequence[str | None]) -> Floats:
    """Return (n, 4): BPFO, BPFI, BSF, FTF as multiples of shaft speed, NaN where no bearing is known."""
    known: dict[str | None, tuple[float, float, float, float]] = {None: NO_ORDERS}
    for text in set(bearings) - {None}:
        if text is not None:
            bearing = Bearing.parse(text)
            known[text] = (bearing.bpfo, bearing.bpfi, bearing.bsf, bearing.ftf)
    return np.array([known[text] for text in bearings], dtype=np.float64).reshape(len(bearings), 4)
