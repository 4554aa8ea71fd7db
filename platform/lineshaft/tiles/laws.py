"""The laws of the algebra as one check: `check_laws(MyAggregator())` tells a team whether its aggregator keeps them."""

from __future__ import annotations

import numpy as np

from lineshaft.tiles.algebra import Aggregator, Context, Floats, Function, Samples

LENGTHS = (0, 1, 2, 3, 7, 64, 1000)
RATE_HZ = 12_000.0


def check_laws(aggregator: Aggregator, *, rng: np.random.Generator, lengths: tuple[int, ...] = LENGTHS) -> None:
    """Check shape, identity, batching, broadcasting and order on random blocks with holes, constants and offsets.

    Raises
    ------
    AssertionError
        Naming the law that is broken and the block length it was broken at.
    """
    width = len(aggregator.fields)
    empty = aggregator.empty()
    _hold(empty.shape == (width,) and empty.dtype == np.float64, aggregator, "empty() is (width,) float64")
    for length in lengths:
        samples = random_samples(rng, blocks=23, length=length)
        parts = aggregator.prepare(samples)
        _hold(parts.shape == (23, width), aggregator, f"prepare gives (blocks, width), length {length}")
        _check_identity(aggregator, parts, length)
        _check_batching(aggregator, samples, parts, length)
        _check_merge(aggregator, parts, length)


def random_samples(
    rng: np.random.Generator, *, blocks: int, length: int, rate_hz: float = RATE_HZ, holes: bool = True
) -> Samples:
    """Return blocks one after another in time: noise over offsets from 0 to 1e5, some constant, some with holes."""
    offset = rng.choice([0.0, 1.0, -40.0, 101_325.0], size=(blocks, 1))
    values = rng.standard_normal((blocks, length)) * rng.choice([1e-3, 1.0, 50.0], size=(blocks, 1)) + offset
    if holes and blocks > 6 and length:
        values[1] = np.nan
        values[2] = 0.1
        values[3] = 101_325.7
        values[4, :: max(1, length // 5)] = np.nan
        values[5] = np.where(rng.random(length) < 0.5, np.nan, 0.3)
    period_us = round(length * 1e6 / rate_hz)
    return Samples(
        values=values,
        rate_hz=rate_hz,
        start_us=1_600_000_000_000_000 + period_us * np.arange(blocks),
        shaft_hz=np.where(rng.random(blocks) < 0.2, np.nan, rng.uniform(20.0, 35.0, blocks)),
        full_scale=np.where(rng.random(blocks) < 0.5, np.nan, 3.0),
        orders=np.tile([3.5848, 5.4152, 2.3567, 0.3983], (blocks, 1)),
    )


def rows_of(samples: Samples, rows: slice) -> Samples:
    """Return some blocks of a batch, as a batch of their own."""
    return Samples(
        values=samples.values[rows].copy(),
        rate_hz=samples.rate_hz,
        start_us=samples.start_us[rows],
        shaft_hz=samples.shaft_hz[rows],
        full_scale=samples.full_scale[rows],
        orders=samples.orders[rows],
    )


def same_bits(left: Floats, right: Floats) -> bool:
    """Tell whether two arrays are equal bit for bit, NaN included.

    >>> same_bits(np.array([0.0]), np.array([-0.0]))
    False
    """
    return left.shape == right.shape and np.ascontiguousarray(left).tobytes() == np.ascontiguousarray(right).tobytes()


def _hold(condition: bool, aggregator: Aggregator, law: str) -> None:  # noqa: FBT001 - an assertion's condition
    if not condition:
        raise AssertionError(f"{aggregator.key} breaks a law: {law}")


def _check_identity(aggregator: Aggregator, parts: Floats, length: int) -> None:
    """Check that merge(empty, a) == a == merge(a, empty), bit for bit."""
    empty = np.broadcast_to(aggregator.empty(), parts.shape)
    for law, merged in (
        ("merge(empty, a) is a", aggregator.merge(empty, parts)),
        ("merge(a, empty) is a", aggregator.merge(parts, empty)),
    ):
        _hold(same_bits(merged, parts), aggregator, f"{law}, length {length}")


def _check_batching(aggregator: Aggregator, samples: Samples, parts: Floats, length: int) -> None:
    """Check that preparing blocks together or in smaller batches gives the same bits."""
    for size in (1, 7):
        pieces = [rows_of(samples, slice(i, i + size)) for i in range(0, len(parts), size)]
        alone = np.concatenate([aggregator.prepare(piece) for piece in pieces])
        _hold(same_bits(alone, parts), aggregator, f"batches of {size} give the same bits, length {length}")


def _check_merge(aggregator: Aggregator, parts: Floats, length: int) -> None:
    """Check that merging is elementwise over leading axes, and its order matters only in the last digits."""
    left, right = parts[:-1], parts[1:]
    together = aggregator.merge(left, right)
    alone = np.stack([aggregator.merge(a, b) for a, b in zip(left, right, strict=True)])
    _hold(same_bits(together, alone), aggregator, f"merge is elementwise over leading axes, length {length}")
    stacked = aggregator.merge(left[:, None, :], right[None, :, :])[np.arange(len(left)), np.arange(len(left))]
    _hold(same_bits(together, stacked), aggregator, f"merge broadcasts, length {length}")
    whole = fold(aggregator, parts)
    halves = aggregator.merge(fold(aggregator, parts[:9]), fold(aggregator, parts[9:]))
    scale = np.maximum(np.abs(whole), np.nanmax(np.abs(np.where(np.isfinite(parts), parts, 0.0)), axis=0, initial=0.0))
    with np.errstate(invalid="ignore"):
        close = (whole == halves) | (np.abs(whole - halves) <= 1e-9 * scale) | (np.isnan(whole) & np.isnan(halves))
    _hold(bool(close.all()), aggregator, f"merge of two halves agrees with the whole to 1e-9, length {length}")


def fold(aggregator: Aggregator, parts: Floats) -> Floats:
    """Merge parts (n, width) from left to right: (width,)."""
    total = aggregator.empty()
    for part in parts:
        total = aggregator.merge(total, part)
    return total


def evaluate(function: Function, samples: Samples, *, window_s: float | None = None) -> float:
    """Return a function's value over one window that holds all blocks of a batch, folded in order.

    `window_s` is the time the blocks span unless given.
    """
    state = {a.key: fold(a, a.prepare(samples)) for a in function.needs}
    blocks, length = samples.values.shape
    context = Context(window_s=blocks * length / samples.rate_hz if window_s is None else window_s)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(function.finish(state, context))
