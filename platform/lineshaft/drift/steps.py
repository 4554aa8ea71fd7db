"""Sudden steps: rows from a moment on against those just before it, beside the largest steps that were usual.

A sensor that is knocked, recalibrated or replaced steps at once and stays there. In a signal that wanders for days a
level half a deviation off is nothing unusual, and takes weeks to be told; that it went there at once is told in hours.
What a ramp does between two stretches it does before and after as well, so the mean of those is taken off; and what is
back within half a dozen rows was a spike: a step is no larger than medians on either side of it differ.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lineshaft.drift.rows import Rows
from lineshaft.drift.worth import Floats

AROUND = 3
"""Rows before and after: fewer are noise, more let what wanders look like a step."""
SIDE = 4 * AROUND
"""Rows on either side, of which the median is taken: what stays stays for more than half of them."""
REACH = 2 * SIDE
"""Rows that a step is told from."""
TAIL = 0.1
"""Of the largest steps of stretches, the share by which the tail is judged."""
_LEAST = 20  # stretches, below which nothing is known of a tail


def steps(rows: Rows) -> Floats:
    """Return at each row how far the rows from here on lie above those before, ramps left out; NaN at gaps and ends."""
    count, width = rows.values.shape
    found = np.full((count, width), np.nan)
    if count < REACH:
        return found
    known = np.isfinite(rows.values)
    sums = np.concatenate([np.zeros((1, width)), np.cumsum(np.where(known, rows.values, 0.0), axis=0)])
    there = np.concatenate([np.zeros((1, width)), np.cumsum(known, axis=0)])
    first = np.arange(count - REACH + 1)
    last = first + REACH - 1
    close = (rows.assets[first] == rows.assets[last]) & (rows.cells[last] - rows.cells[first] == REACH - 1)
    whole = close[:, None] & (there[last + 1] - there[first] == REACH)
    begin = first + SIDE - 2 * AROUND
    means = [(sums[begin + (k + 1) * AROUND] - sums[begin + k * AROUND]) / AROUND for k in range(4)]
    sharp = means[2] - means[1] - (means[1] - means[0] + means[3] - means[2]) / 2
    middles = np.median(sliding_window_view(np.where(known, rows.values, 0.0), SIDE, axis=0), axis=-1)
    stays = middles[first + SIDE] - middles[first]
    step = np.where(np.sign(sharp) == np.sign(stays), np.sign(sharp) * np.minimum(np.abs(sharp), np.abs(stays)), 0.0)
    found[first + SIDE] = np.where(whole, step, np.nan)
    return found


def largest(rows: Rows, sd: Floats) -> Floats:
    """Return the largest step of each series either way, in its own standard deviations (series x columns)."""
    size = np.abs(steps(rows)) / np.where(sd > 0, sd, np.nan)[rows.groups]
    return np.maximum.reduceat(np.nan_to_num(size, nan=0.0), rows.starts, axis=0)


def tail_of(rows: Rows, sd: Floats) -> Floats:
    """Return of each column how large steps are in stretches of as many rows: a level, its share, and its exponent.

    Above the level the share falls as a power of the size (Hill, "A simple general approach to inference about the
    tail of a distribution", 1975). NaN where there are too few stretches.
    """
    size = np.abs(steps(rows)) / np.where(sd > 0, sd, np.nan)[rows.groups]
    usable = len(size) // AROUND * AROUND
    peaks = np.nan_to_num(size[:usable], nan=0.0).reshape(-1, AROUND, size.shape[1]).max(axis=1)
    found = np.full((3, size.shape[1]), np.nan)
    for place in range(size.shape[1]):
        ordered = np.sort(peaks[peaks[:, place] > 0, place])
        if len(ordered) < _LEAST:
            continue
        top = max(5, round(TAIL * len(ordered)))
        level = ordered[-top - 1]
        exponent = top / np.sum(np.log(ordered[-top:] / level)) if ordered[-1] > level else np.inf
        found[:, place] = level, top / len(ordered), min(float(exponent), 100.0)
    return found


def chance(size: Floats, rows: Floats, tail: Floats) -> Floats:
    """Return how probable a step as large is, by chance, in so many rows; NaN where the tail is not known."""
    level, share, exponent = tail
    ratio = np.maximum(size / level, 1e-9)
    each = np.where(ratio <= 1, 1.0, share * np.maximum(ratio, 1.0) ** -exponent)
    return np.where(np.isnan(level), np.nan, np.minimum(1.0, each * np.maximum(rows / AROUND, 1.0)))
