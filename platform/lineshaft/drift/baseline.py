"""What rows looked like in training: of all together, and of each series by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lineshaft.drift.rows import FLEET, Rows
from lineshaft.drift.steps import tail_of
from lineshaft.drift.worth import Floats, Ints, autocorrelation_times, effective_sizes

KEPT = 4_096
"""Values of a column that are kept as they are; of more, so many quantiles."""
LEAST_WINDOWS = 5
"""Windows of a series, below which nobody knows how much they usually differ."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Count, mean and standard deviation: series x columns."""

    count: Floats
    mean: Floats
    sd: Floats

    @staticmethod
    def of(values: Floats, starts: Ints) -> Moments:
        """Return those of each series; NaN counts for nothing."""
        known = np.isfinite(values)
        filled = np.where(known, values, 0.0)
        count = np.add.reduceat(known.astype(np.float64), starts, axis=0)
        mean = np.add.reduceat(filled, starts, axis=0) / np.maximum(count, 1)
        lengths = np.diff(np.append(starts, len(values)))
        away = np.where(known, values - np.repeat(mean, lengths, axis=0), 0.0)
        variance = np.add.reduceat(away**2, starts, axis=0) / np.maximum(count, 1)
        return Moments(count=count, mean=np.where(count > 0, mean, np.nan), sd=np.sqrt(variance))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Own:
    """What each series is by itself: its level, how long that lasts (`time`, in rows), and what each row adds to it."""

    level: Moments
    time: Floats
    between: Floats  # the variance of means of windows over that of values; of all series together, but for FLEET
    spread: Moments  # of the absolute difference from what the row before let expect
    spread_time: Floats
    spread_between: Floats
    freedom: Floats  # of how many windows, less one a series, that is told


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Baseline:
    """One regime of a training set. `grid` holds each column's values in order; `wear` points to where it fails."""

    columns: tuple[str, ...]
    assets: tuple[str, ...]  # FLEET last, where there are several
    rows: int
    grid: tuple[NDArray[np.float64], ...]
    effective: Floats
    sd: Floats
    known: Floats  # the share of rows with a value
    phi: Floats  # how much of a deviation is left a step later
    own: Own
    wear: Floats  # of rows near a failure, in standard deviations from the others; NaN where nobody knows
    step: Floats  # tail of the largest steps: see `lineshaft.drift.steps`
    window_worth: Floats  # the most independent values that a window of all series together holds


def baseline_of(rows: Rows, *, window: int, worn: NDArray[np.bool_] | None = None, kept: int = KEPT) -> Baseline:
    """Return what rows look like, all and in windows of so many steps.

    worn: those that a label puts near a failure. They say where wear leads to, and are no part of the baseline.
    kept: values of a column that are kept as they are; of more, so many quantiles.
    """
    if worn is not None and not worn.all():
        near = rows
        rows = rows.take(~worn)
    else:
        near, worn = rows, None
    counts = np.isfinite(rows.values).sum(axis=0)
    alone = Moments.of(rows.values, rows.starts)
    full = rows if len(rows.names) < 2 else with_fleet(rows, rows.names, alone.mean)
    phi = _persistence(rows, alone.mean)
    spreads = surprises(full, phi)
    level, spread = Moments.of(full.values, full.starts), Moments.of(spreads, full.starts)
    parts, belongs = _windows(full, window)
    between, freedom = _between(Moments.of(full.values, parts), level, belongs, window)
    spread_between, _ = _between(Moments.of(spreads, parts), spread, belongs, window)
    several = len(alone.mean) > 1
    own = Own(
        level=level,
        time=_by_series(full.values, full.starts),
        between=_pooled(between, several=several),
        spread=spread,
        spread_time=_by_series(spreads, full.starts),
        spread_between=_pooled(spread_between, several=several),
        freedom=_pooled(freedom, several=several, total=True),
    )
    sd = Moments.of(rows.values, np.zeros(1, np.int64)).sd[0]
    common = between[-1] * level.sd[-1] ** 2
    return Baseline(
        columns=rows.columns,
        assets=full.names,
        rows=len(rows),
        grid=tuple(_grid(rows.values[:, place], kept) for place in range(len(rows.columns))),
        effective=effective_sizes(rows.values, rows.groups),
        sd=sd,
        known=counts / max(len(rows), 1),
        phi=phi,
        own=own,
        wear=_wear(near.values, worn, sd),
        step=tail_of(full, own.level.sd),
        window_worth=np.divide(sd**2, common, out=np.full(len(sd), np.nan), where=common > 0),
    )


def _windows(rows: Rows, window: int) -> tuple[Ints, Ints]:
    """Return where each stretch of so many steps begins, and which series it is of."""
    number = rows.cells // max(window, 1)
    begins = np.append(True, (rows.assets[1:] != rows.assets[:-1]) | (number[1:] != number[:-1]))
    starts = np.flatnonzero(begins).astype(np.int64)
    return starts, rows.groups[starts]


def _between(parts: Moments, whole: Moments, belongs: Ints, window: int) -> tuple[Floats, Floats]:
    """Return by series and column the variance of means of full windows over that of values, and how many less one.

    NaN where a series has too few; a window is full with half of its rows.
    """
    means = np.where(parts.count >= max(window / 2, 1), parts.mean, np.nan)
    starts = np.flatnonzero(np.append(True, np.diff(belongs) != 0)).astype(np.int64)
    told = Moments.of(means, starts)
    enough = (told.count >= LEAST_WINDOWS) & (whole.sd > 0)
    variance = told.sd**2 * told.count / np.maximum(told.count - 1, 1)
    share = np.divide(variance, whole.sd**2, out=np.full_like(variance, np.nan), where=enough)
    return share, np.where(enough, told.count - 1, np.nan)


def _pooled(values: Floats, *, several: bool, total: bool = False) -> Floats:
    """Return for each series the mean, or sum, over all but FLEET, which keeps its own; NaN where none is known."""
    own = values[:-1] if several else values
    known = np.isfinite(own)
    summed = np.where(known, own, 0.0).sum(axis=0)
    count = np.ones_like(summed) if total else known.sum(axis=0)
    told = np.divide(summed, count, out=np.full_like(summed, np.nan), where=known.any(axis=0))
    found = np.broadcast_to(told, values.shape).copy()
    if several:
        found[-1] = values[-1]
    return found


def with_fleet(rows: Rows, names: tuple[str, ...], means: Floats) -> Rows:
    """Add a series in which each step is the mean of what the series are off their own means then.

    names, means: of the series that have means of their own; others take no part.
    """
    place = {name: number for number, name in enumerate(names)}
    codes = np.array([place.get(name, -1) for name in rows.names])[rows.groups]
    own = codes >= 0
    away = rows.values[own] - means[codes[own]]
    cells, member = np.unique(rows.cells[own], return_inverse=True)
    known = np.isfinite(away)
    shape = (len(cells), len(rows.columns))
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, member, np.where(known, away, 0.0))
    np.add.at(count, member, known)
    values = np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)
    return replace(
        rows,
        values=np.concatenate([rows.values, values]),
        assets=np.concatenate([rows.assets, np.full(len(cells), FLEET)]),
        cells=np.concatenate([rows.cells, cells]),
        regimes=np.concatenate([rows.regimes, np.full(len(cells), rows.regimes[0] if len(rows) else 0)]),
    )


def surprises(rows: Rows, phi: Floats) -> Floats:
    """Return how far each row is from what the one before it let expect; NaN where the one before is not known."""
    means = Moments.of(rows.values, rows.starts).mean
    away = rows.values - means[rows.groups]
    found = np.full_like(away, np.nan)
    found[1:] = np.abs(away[1:] - phi * away[:-1])
    found[~_follows(rows)] = np.nan
    return found


def _follows(rows: Rows) -> NDArray[np.bool_]:
    """Tell which rows come a step after the one before them, in the same series."""
    same = (rows.assets[1:] == rows.assets[:-1]) & (np.diff(rows.cells) == 1)
    return np.append(False, same)


def _persistence(rows: Rows, means: Floats) -> Floats:
    """Return the correlation of a deviation with the next, all series together."""
    away = rows.values - means[rows.groups]
    pairs = _follows(rows)[1:, None] & np.isfinite(away[1:]) & np.isfinite(away[:-1])
    products = np.where(pairs, away[1:] * away[:-1], 0.0).sum(axis=0)
    squares = np.where(pairs, away[:-1] ** 2, 0.0).sum(axis=0)
    found: Floats = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
    return np.clip(found, 0.0, 0.9999)


def _by_series(values: Floats, starts: Ints) -> Floats:
    """Return the autocorrelation times of each series."""
    parts = np.split(values, starts[1:])
    return np.stack([autocorrelation_times(part, np.zeros(len(part), np.int64)) for part in parts])


def _grid(values: Floats, kept: int) -> Floats:
    """Return the known values in order, or so many quantiles of them."""
    ordered = np.sort(values[np.isfinite(values)])
    if len(ordered) <= kept:
        return ordered
    return np.asarray(ordered[np.linspace(0, len(ordered) - 1, kept).round().astype(np.int64)])


def _wear(values: Floats, worn: NDArray[np.bool_] | None, sd: Floats) -> Floats:
    """Return where rows near a failure lie from the others, in standard deviations."""
    unknown = np.full(values.shape[1], np.nan)
    if worn is None or not worn.any() or worn.all():
        return unknown
    start = np.zeros(1, np.int64)
    near, other = (Moments.of(values[chosen], start).mean[0] for chosen in (worn, ~worn))
    found: Floats = np.divide(near - other, sd, out=unknown, where=sd > 0)
    return found
