"""What can be said of a block without a feature: its times, its length, and of each channel what it spans.

One row a block. Suites of a source are written over these columns, and the rules of `history` compare them along time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lineshaft.sources.blocks import DTYPES, spans_us
from lineshaft.specs import Source

PER_CHANNEL = {
    "low": "the least sample",
    "high": "the largest sample",
    "mean": "the mean of its samples",
    "std": "their spread, biased",
    "missing": "the share of samples that are NaN",
    "grain": "the step of the grid on which its samples lie; null where they lie on none, or are too few to tell",
    "piled": "how many samples of a waveform stand on its least and its largest value beside one each",
    "piled_due": "how many would by chance, were the wave as dense there as just inside; null where it has no tails",
    "same": "for how many samples in a row, those of this block among them, the channel does not move; 0 where it does",
    "edge": "the share of its entity's blocks here that reach its least or largest sample; null of fewer than 32",
}
"""What is said of each channel, as `<channel>_<fact>`."""

PER_BLOCK = {
    "rate_hz": "samples a second",
    "samples": "samples of each channel",
    "full_scale": "the converter's range, as its sender says; null where it says nothing",
    "ahead_s": "seconds by which the block ends after it was received",
    "delay_s": "seconds from its end to its receipt",
    "gap_s": "seconds from the end of the block before it to its start, negative where they overlap; null for a first",
}
"""What is said of the block as a whole, beside `asset_id`, `position`, `start_us`, `end_us`, `known_us`, `sequence`."""

WAVE_HZ, WAVE_SAMPLES = 1000.0, 256
"""A block at this rate and of this length is a waveform: a physical sensor's noise must be in it."""

_IDENTITY = ("asset_id", "position", "start_us", "known_us", "sequence")
_GRAINS = 100
_FEW = 32

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.floating[Any]]


def block_facts(blocks: pa.Table, source: Source) -> pa.Table:
    """Return one row a block of BLOCK_SCHEMA, in order; the blocks have passed `validate_blocks`.

    >>> from lineshaft.sources.blocks import blocks_table
    >>> source = Source(name="s", channels=("x",), units=("g",))
    >>> blocks = blocks_table(asset_id="a", starts_us=[0], samples=np.array([[[1.0, 3.0]]]), rate_hz=2.0)
    >>> facts = block_facts(blocks, source).to_pylist()[0]
    >>> facts["x_low"], facts["x_high"], facts["x_std"], facts["samples"], facts["ahead_s"]
    (1.0, 3.0, 1.0, 2, 0.0)
    """
    measured = {
        f"{channel}_{fact}": np.full(len(blocks), np.nan) for channel in source.channels for fact in PER_CHANNEL
    }
    sizes = np.zeros(len(blocks), dtype=np.int64)
    for rows, samples in payloads(blocks, source):
        sizes[rows] = samples.shape[2]
        for number, channel in enumerate(source.channels):
            for fact, values in _channel(samples[:, number]).items():
                measured[f"{channel}_{fact}"][rows] = values
    start, known = (blocks[name].to_numpy() for name in ("start_us", "known_us"))
    rate = blocks["rate_hz"].to_numpy()
    end = start + spans_us(sizes, rate)
    facts = {name: blocks[name] for name in _IDENTITY}
    facts |= {"end_us": end, "rate_hz": rate, "samples": sizes}
    facts |= {"full_scale": blocks["full_scale"].cast(pa.float64())}
    facts |= {"ahead_s": (end - known) / 1e6, "delay_s": (known - end) / 1e6}
    order, first = _along_time(blocks, start)
    gap_s = np.full(len(blocks), np.nan)
    gap_s[order[1:]] = np.where(first[1:], np.nan, (start[order[1:]] - end[order[:-1]]) / 1e6)
    measured["gap_s"] = gap_s
    for channel in source.channels:
        low, high = measured[f"{channel}_low"], measured[f"{channel}_high"]
        measured[f"{channel}_same"] = _same(low, high, sizes, order=order, first=first)
        measured[f"{channel}_edge"] = _edge(low, high, order=order, first=first)
    return pa.table(facts | {name: pa.array(values, from_pandas=True) for name, values in measured.items()})


def payloads(blocks: pa.Table, source: Source) -> Iterator[tuple[npt.NDArray[np.int64], Samples]]:
    """Yield (rows, samples of these as blocks x channels x n), blocks of one type and length together."""
    sizes = pc.fill_null(pc.binary_length(blocks["payload"]), 0).to_numpy()
    for name, dtype in DTYPES.items():
        mine = pc.fill_null(pc.equal(blocks["dtype"], name), fill_value=False).to_numpy()
        stride = dtype.itemsize * len(source.channels)
        for size in np.unique(sizes[mine]).tolist():
            if not size or size % stride:
                continue
            rows = np.flatnonzero(mine & (sizes == size))
            payload = blocks["payload"] if len(rows) == len(blocks) else blocks["payload"].take(pa.array(rows))
            yield rows, _stacked(payload, size, dtype).reshape(len(rows), len(source.channels), -1)


def _stacked(payload: pa.ChunkedArray, size: int, dtype: np.dtype[Any]) -> Samples:
    """Return payloads of one size as one array, without a copy where they lie in one piece."""
    parts = []
    for chunk in payload.chunks:
        if not len(chunk):
            continue
        first = int(np.frombuffer(chunk.buffers()[1], dtype=np.int32)[chunk.offset])
        parts.append(np.frombuffer(chunk.buffers()[2], dtype=np.uint8)[first : first + size * len(chunk)])
    data = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return data.view(dtype)


def _channel(samples: Samples) -> dict[str, Floats]:
    """Return what is said of one channel of blocks of one length."""
    values = samples.astype(np.float64)
    missing = np.isnan(values)
    share = missing.mean(axis=1)
    bare = bool(share.any())
    there = share < 1
    facts = {name: np.full(len(values), np.nan) for name in ("low", "high", "mean", "std")}
    some = values[there]
    facts["low"][there] = np.nanmin(some, axis=1) if bare else some.min(axis=1)
    facts["high"][there] = np.nanmax(some, axis=1) if bare else some.max(axis=1)
    facts["mean"][there] = np.nanmean(some, axis=1) if bare else some.mean(axis=1)
    facts["std"][there] = np.nanstd(some, axis=1) if bare else some.std(axis=1)
    steps = grain(values)
    piled, due = piles(values, facts, steps)
    return {**facts, "missing": share, "grain": steps, "piled": piled, "piled_due": due}


def piles(values: Floats, facts: dict[str, Floats], steps: Floats) -> tuple[Floats, Floats]:
    """Return of each row how many samples lie on its two ends beside one each, and how many would by chance.

    A wave that runs out freely reaches its largest value once; one that is cut off stands on it whenever it would have
    gone further. By chance means: as densely as in the quarter of a spread just inside, per step of the grid. Asked are
    waves with tails only, which reach two spreads to both sides: a sine is densest at its ends.

    >>> wave = np.random.default_rng(1).normal(size=(1, 2560)).round(3)
    >>> for cut in (9.0, 2.5):
    ...     x = np.clip(wave, -cut, cut)
    ...     said = {"low": x.min(axis=1), "high": x.max(axis=1), "mean": x.mean(axis=1), "std": x.std(axis=1)}
    ...     found, due = piles(x, said, grain(x))
    ...     print(int(found[0]), due[0] < 1)
    0 True
    39 True
    """
    piled, due = np.full(len(values), np.nan), np.full(len(values), np.nan)
    low, high, mean, std = (facts[name] for name in ("low", "high", "mean", "std"))
    if values.shape[1] < WAVE_SAMPLES:
        return piled, due
    with np.errstate(invalid="ignore"):
        asked = np.flatnonzero((high - mean >= 2 * std) & (mean - low >= 2 * std) & (std > 0))
    some, edges = values[asked], ((low[asked, None], 1.0), (high[asked, None], -1.0))
    width = np.maximum(std[asked] / 4, 4 * np.nan_to_num(steps[asked]))[:, None]
    codes = np.nan_to_num(steps[asked]) / width[:, 0]
    piled[asked], due[asked] = 0.0, 0.0
    for edge, inwards in edges:
        at = (some == edge).sum(axis=1)
        near = ((some - edge) * inwards <= width).sum(axis=1) - at
        piled[asked] += at - 1
        due[asked] += (near + 1) * codes
    return piled, due


def grain(values: Floats) -> Floats:
    """Return the step of the grid on which each row's samples lie, NaN where they lie on none.

    A converter and the gateway behind it know whole counts only, so a real waveform lies on a grid; whoever scales it,
    by a unit or by a new sensitivity, scales the grid. Rows shorter than a waveform are not judged.

    >>> counts = np.arange(512.0)[None] % 37
    >>> grain(counts * 0.25).tolist(), grain(np.sqrt(counts)).tolist()
    ([0.25], [nan])
    """
    steps = np.full(len(values), np.nan)
    if values.shape[1] < WAVE_SAMPLES:
        return steps
    spread = values - values[:, :1]
    reach = np.abs(spread).max(axis=1)
    rows = np.flatnonzero(np.isfinite(reach) & (reach > 0))
    spread, reach = spread[rows], reach[rows, None]
    gaps = np.diff(np.sort(spread, axis=1), axis=1)
    step = np.where(gaps > 1e-6 * reach, gaps, np.inf).min(axis=1)[:, None]
    for within in (_GRAINS, np.inf):  # the small counts first: there a step that is a little off does no harm yet
        near = np.abs(spread) <= within * step
        counts = np.where(near, np.rint(spread / step), 0.0)
        step = np.where(near, spread * counts, 0.0).sum(axis=1, keepdims=True) / np.maximum(
            1.0, (counts * counts).sum(axis=1, keepdims=True)
        )
        step = np.where(step > 0, step, np.inf)
    counts = spread / step
    on_grid = (np.abs(counts - np.rint(counts)) < 0.1).all(axis=1) & (np.ptp(np.rint(counts), axis=1) >= 8)
    steps[rows[on_grid]] = step[on_grid, 0]
    return steps


def entities(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return a number for each row that tells its asset and position from others."""
    pairs = zip(table["asset_id"].to_pylist(), table["position"].to_pylist(), strict=True)
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(pair, len(numbers)) for pair in pairs], dtype=np.int64)


def _along_time(blocks: pa.Table, starts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the rows entity by entity in order of time, and which of these are an entity's first."""
    entity = entities(blocks)
    order = np.lexsort((blocks["sequence"].to_numpy(), starts, entity))
    first = np.ones(len(order), dtype=bool)
    first[1:] = np.diff(entity[order]) != 0
    return order, first


def _same(
    low: Floats,
    high: Floats,
    sizes: npt.NDArray[np.int64],
    *,
    order: npt.NDArray[np.int64],
    first: npt.NDArray[np.bool_],
) -> Floats:
    """Return how long the stretch without a movement is that a block lies in; 0 where the channel moves in it."""
    still = (low == high)[order]
    follows = np.zeros(len(order), dtype=bool)
    follows[1:] = still[1:] & still[:-1] & (low[order][1:] == high[order][:-1]) & ~first[1:]
    stretch = np.cumsum(~follows) - 1
    length = np.bincount(stretch, weights=np.where(still, sizes[order], 0))
    same = np.empty(len(order))
    same[order] = np.where(still, length[stretch], 0.0)
    return np.where(np.isnan(low), np.nan, same)


def _edge(low: Floats, high: Floats, *, order: npt.NDArray[np.int64], first: npt.NDArray[np.bool_]) -> Floats:
    """Return of each entity how many of its blocks reach its own least or largest sample, whichever are more.

    A channel that is cut off stands at an end again and again; one that moves freely reaches it once.
    """
    shares = np.full(len(order), np.nan)
    for rows in np.split(order, np.flatnonzero(first)[1:]):
        there = rows[np.isfinite(low[rows])]
        if len(there) < _FEW or low[there].min() == high[there].max():
            continue
        at_low, at_high = (low[there] == low[there].min()).mean(), (high[there] == high[there].max()).mean()
        shares[rows] = max(at_low, at_high)
    return shares
