"""Functions that compare a window with the entity's own first tiles: what is normal for this machine, not for all.

The baseline is the first N tiles that were ever measured of an entity, merged; a feature is undefined until they exist.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lineshaft.tiles.algebra import Context, Floats, Function, State
from lineshaft.tiles.entry import Entry, known, quotient
from lineshaft.tiles.measures import count_of
from lineshaft.tiles.moments import Moments

_ISO = "ISO 20816-1, second criterion: change against the machine's own baseline"


def _split(moments: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance; NaN where nothing was measured."""
    count = moments[..., 0]
    return np.where(count > 0, moments[..., 1], np.nan), quotient(moments[..., 2], count)


def _both(state: State) -> tuple[Floats, Floats, Floats, Floats]:
    """Return mean and variance of the window, then of the baseline."""
    return *_split(state["moments"]), *_split(state["baseline:moments"])


def _deviation(state: State, _context: Context) -> Floats:
    mean, _, base, _ = _both(state)
    return mean - base


def _sigmas(state: State, _context: Context) -> Floats:
    mean, _, base, spread = _both(state)
    return quotient(mean - base, np.sqrt(spread))


def _std_ratio(state: State, _context: Context) -> Floats:
    _, spread, _, base = _both(state)
    return np.sqrt(quotient(spread, base))


def _rms_ratio(state: State, _context: Context) -> Floats:
    mean, spread, base_mean, base_spread = _both(state)
    with np.errstate(over="ignore"):
        return np.sqrt(quotient(known(mean * mean + spread), known(base_mean * base_mean + base_spread)))


def _entry(name: str, *, unit: str, formula: str, finish: Callable[[State, Context], Floats]) -> Entry:
    """Return the family of a comparison with the first N tiles."""

    def make(argument: str) -> Function:
        tiles = count_of(argument, low=1, high=10_000, where=name)
        return Function(
            name=f"{name}[{tiles}]",
            unit=unit,
            formula=formula.replace("N tiles", f"{tiles} tiles"),
            source=_ISO,
            needs=(Moments(),),
            finish=finish,
            baseline_tiles=tiles,
        )

    told = f"{formula}; undefined until these exist"
    pattern, example = f"{name}[tiles]", f"{name}[10]"
    return Entry(name=name, pattern=pattern, example=example, unit=unit, formula=told, source=_ISO, make=make)


ENTRIES: tuple[Entry, ...] = (
    _entry(
        "deviation_from_baseline",
        unit="{unit}",
        formula="mean(window) - mean(first N tiles of the entity)",
        finish=_deviation,
    ),
    _entry(
        "sigmas_from_baseline",
        unit="1",
        formula="(mean(window) - m)/s0, of the samples in the first N tiles of the entity",
        finish=_sigmas,
    ),
    _entry(
        "std_over_baseline",
        unit="1",
        formula="std(window)/std(first N tiles of the entity)",
        finish=_std_ratio,
    ),
    _entry(
        "rms_over_baseline",
        unit="1",
        formula="rms(window)/rms(first N tiles of the entity)",
        finish=_rms_ratio,
    ),
)
