"""Functions of the sample values: averages, extremes, shape factors, trend, coverage.

Variants are stated because others differ: tsfresh and pandas give excess unbiased kurtosis, MATLAB Pearson biased; many
repositories divide by mean(x) where the shape factor says mean|x|.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from lineshaft.tiles.algebra import Context, Floats, State
from lineshaft.tiles.coverage import Coverage
from lineshaft.tiles.edges import Edges
from lineshaft.tiles.entry import Entry, known, plain, quotient
from lineshaft.tiles.extremes import Extremes, largest_magnitude
from lineshaft.tiles.magnitudes import Magnitudes
from lineshaft.tiles.moments import Moments
from lineshaft.tiles.trend import Trend

_MATLAB = "MATLAB signalTimeFeatureExtractor; peak is max|x|, rms keeps the mean"
_CONSTANT = "; a constant window has none"


def _column(state: State, key: str, index: int) -> Floats:
    return state[key][..., index]


def _count(state: State, _context: Context) -> Floats:
    return _column(state, "moments", 0)


def _mean(state: State, _context: Context) -> Floats:
    return np.where(_column(state, "moments", 0) > 0, _column(state, "moments", 1), np.nan)


def _variance(state: State, _context: Context) -> Floats:
    return quotient(_column(state, "moments", 2), _column(state, "moments", 0))


def _std(state: State, context: Context) -> Floats:
    return np.sqrt(_variance(state, context))


def _std_sample(state: State, _context: Context) -> Floats:
    count = _column(state, "moments", 0)
    return np.where(count > 1, np.sqrt(quotient(_column(state, "moments", 2), count - 1.0)), np.nan)


def _rms(state: State, context: Context) -> Floats:
    mean = _mean(state, context)
    with np.errstate(over="ignore"):
        return known(np.sqrt(mean * mean + _variance(state, context)))


def _moves(state: State) -> Floats:
    """Return 1 where the window is not constant, NaN where it is, or where it is empty."""
    low, high = _column(state, "extremes", 0), _column(state, "extremes", 1)
    return np.where(high > low, 1.0, np.nan)


def _skewness(state: State, _context: Context) -> Floats:
    count, _, m2, m3, _ = np.moveaxis(state["moments"], -1, 0)
    return quotient(np.sqrt(count) * m3, m2 * np.sqrt(m2)) * _moves(state)


def _kurtosis(state: State, _context: Context) -> Floats:
    count, _, m2, _, m4 = np.moveaxis(state["moments"], -1, 0)
    with np.errstate(over="ignore"):
        return quotient(count * m4, m2 * m2) * _moves(state)


def _min(state: State, _context: Context) -> Floats:
    return known(_column(state, "extremes", 0))


def _max(state: State, _context: Context) -> Floats:
    return known(_column(state, "extremes", 1))


def _peak(state: State, _context: Context) -> Floats:
    return known(largest_magnitude(state["extremes"]))


def _peak_to_peak(state: State, _context: Context) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        return known(_column(state, "extremes", 1) - _column(state, "extremes", 0))


def _crest(state: State, context: Context) -> Floats:
    return quotient(_peak(state, context), _rms(state, context)) * _moves(state)


def _mean_abs(state: State, _context: Context) -> Floats:
    return quotient(_column(state, "magnitudes", 1), _column(state, "magnitudes", 0))


def _shape(state: State, context: Context) -> Floats:
    return quotient(_rms(state, context), _mean_abs(state, context)) * _moves(state)


def _impulse(state: State, context: Context) -> Floats:
    return quotient(_peak(state, context), _mean_abs(state, context)) * _moves(state)


def _clearance(state: State, context: Context) -> Floats:
    root = quotient(_column(state, "magnitudes", 2), _column(state, "magnitudes", 0))
    return quotient(_peak(state, context), root * root) * _moves(state)


def _first(state: State, _context: Context) -> Floats:
    return np.where(np.isfinite(_column(state, "edges", 0)), _column(state, "edges", 1), np.nan)


def _last(state: State, _context: Context) -> Floats:
    return np.where(np.isfinite(_column(state, "edges", 2)), _column(state, "edges", 3), np.nan)


def _slope_per_hour(state: State, _context: Context) -> Floats:
    return quotient(_column(state, "trend", 5), _column(state, "trend", 4)) * 3600.0


def _coverage(state: State, context: Context) -> Floats:
    return _column(state, "coverage", 0) / context.window_s


def _missing_ratio(state: State, _context: Context) -> Floats:
    return quotient(_column(state, "coverage", 2), _column(state, "coverage", 1))


def _clipped_ratio(state: State, _context: Context) -> Floats:
    _, samples, missing, clipped = np.moveaxis(state["coverage"], -1, 0)
    return quotient(clipped, samples - missing)


_M, _E, _A = (Moments(),), (Extremes(),), (Magnitudes(),)
_ME: tuple[Moments | Extremes, ...] = (*_M, *_E)
_MEA: tuple[Moments | Extremes | Magnitudes, ...] = (*_ME, *_A)
_one: Callable[..., Entry] = partial(plain, unit="1")
_same: Callable[..., Entry] = partial(plain, unit="{unit}")

ENTRIES: tuple[Entry, ...] = (
    _one("count", formula="N, the measured samples", source="definition", needs=_M, finish=_count),
    _same("mean", formula="m = sum(x)/N", source="numpy.mean", needs=_M, finish=_mean),
    plain(
        "variance",
        unit="{unit}^2",
        formula="sum((x-m)^2)/N",
        source="numpy.var, biased (ddof 0)",
        needs=_M,
        finish=_variance,
    ),
    _same("std", formula="s0 = sqrt(sum((x-m)^2)/N)", source="numpy.std, biased (ddof 0)", needs=_M, finish=_std),
    _same(
        "std_sample",
        formula="s1 = sqrt(sum((x-m)^2)/(N-1))",
        source="pandas.Series.std, MATLAB std (ddof 1)",
        needs=_M,
        finish=_std_sample,
    ),
    _same("rms", formula="sqrt(sum(x^2)/N), mean kept", source="tsfresh root_mean_square", needs=_M, finish=_rms),
    _one(
        "skewness",
        formula="(sum((x-m)^3)/N)/s0^3" + _CONSTANT,
        source="scipy.stats.skew, bias=True",
        needs=_ME,
        finish=_skewness,
    ),
    _one(
        "kurtosis",
        formula="(sum((x-m)^4)/N)/s0^4 (Gaussian 3)" + _CONSTANT,
        source="scipy.stats.kurtosis(fisher=False), MATLAB kurtosis: Pearson, biased",
        needs=_ME,
        finish=_kurtosis,
    ),
    _same("min", formula="min(x)", source="definition", needs=_E, finish=_min),
    _same("max", formula="max(x)", source="definition", needs=_E, finish=_max),
    _same("peak", formula="max|x|", source=_MATLAB, needs=_E, finish=_peak),
    _same("peak_to_peak", formula="max(x)-min(x)", source="numpy.ptp", needs=_E, finish=_peak_to_peak),
    _one("crest_factor", formula="peak/rms" + _CONSTANT, source=_MATLAB, needs=_ME, finish=_crest),
    _same("mean_abs", formula="sum|x|/N", source="definition", needs=_A, finish=_mean_abs),
    _one("shape_factor", formula="rms/mean|x|" + _CONSTANT, source=_MATLAB, needs=_MEA, finish=_shape),
    _one("impulse_factor", formula="peak/mean|x|" + _CONSTANT, source=_MATLAB, needs=(*_E, *_A), finish=_impulse),
    _one(
        "clearance_factor",
        formula="peak/(sum(sqrt|x|)/N)^2" + _CONSTANT,
        source="Beckhoff FB_ALY_ClearanceFactor: the square is outside the mean",
        needs=(*_E, *_A),
        finish=_clearance,
    ),
    _same("first", formula="x at the earliest time", source="definition", needs=(Edges(),), finish=_first),
    _same("last", formula="x at the latest time", source="definition", needs=(Edges(),), finish=_last),
    plain(
        "slope_per_hour",
        unit="{unit}/h",
        formula="3600 sum((t-mean t)(x-m))/sum((t-mean t)^2), t in s of each sample",
        source="numpy.polyfit(t, x, 1): least squares over real times, gaps and all",
        needs=(Trend(),),
        finish=_slope_per_hour,
    ),
    _one(
        "coverage",
        formula="seconds measured/seconds of the window",
        source="definition",
        needs=(Coverage(),),
        finish=_coverage,
    ),
    _one(
        "missing_ratio",
        formula="samples sent as NaN/samples sent",
        source="definition",
        needs=(Coverage(),),
        finish=_missing_ratio,
    ),
    _one(
        "clipped_ratio",
        formula="samples with |x| at full scale/samples measured; 0 where the full scale is unknown",
        source="definition",
        needs=(Coverage(),),
        finish=_clipped_ratio,
    ),
)
