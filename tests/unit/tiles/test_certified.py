"""Statistics against certified and printed answers, and against exact rational arithmetic.

NIST StRD: Statistical Reference Datasets, univariate summary statistics, NumAcc1 to NumAcc4 (certified to 15 digits).
Anscombe: "Graphs in Statistical Analysis", The American Statistician 27 (1973), table on page 19.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Context, Floats, Samples
from lineshaft.tiles.laws import fold

HOUR_US = 3_600_000_000


def samples(values: Floats, *, start_us: int = 0, rate_hz: float = 1.0, full_scale: float = np.nan) -> Samples:
    """Return one block."""
    return Samples(
        values=np.asarray(values, dtype=np.float64)[None, :],
        rate_hz=rate_hz,
        start_us=np.array([start_us]),
        shaft_hz=np.array([np.nan]),
        full_scale=np.array([full_scale]),
        orders=np.full((1, 4), np.nan),
    )


def value(name: str, parts: list[Samples], *, window_s: float = 1.0) -> float:
    """Return a function's value over a window that holds these blocks, in order."""
    function = catalogue.function(name)
    state = {a.key: fold(a, np.concatenate([a.prepare(part) for part in parts])) for a in function.needs}
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(function.finish(state, Context(window_s=window_s)))


def cut(values: list[float], size: int) -> list[Samples]:
    """Return values as blocks of `size`."""
    return [samples(np.array(values[at : at + size]), start_us=at * 1_000_000) for at in range(0, len(values), size)]


def num_acc(base: float) -> list[float]:
    """Return the 1001 numbers of NIST's NumAcc2 to 4: base + 0.2, then base + 0.1 and base + 0.3 in turn."""
    return [base + 0.2, *[base + 0.1, base + 0.3] * 500]


@pytest.mark.parametrize("size", [1, 7, 500, 1001])
@pytest.mark.parametrize(
    ("values", "mean", "deviation", "digits"),
    [
        ([10_000_001.0, 10_000_003.0, 10_000_002.0], 10_000_002.0, 1.0, 15),
        (num_acc(1.0), 1.2, 0.1, 14),
        (num_acc(1_000_000.0), 1_000_000.2, 0.1, 8),
        (num_acc(10_000_000.0), 10_000_000.2, 0.1, 7),
    ],
    ids=["NumAcc1", "NumAcc2", "NumAcc3", "NumAcc4"],
)
def test_mean_and_deviation_are_the_certified_ones(
    values: list[float], mean: float, deviation: float, digits: int, size: int
) -> None:
    """However the set is cut into blocks; the digits left are those that the inputs themselves hold in float64."""
    parts = cut(values, size)

    assert value("mean", parts) == pytest.approx(mean, rel=1e-15)
    assert value("std_sample", parts) == pytest.approx(deviation, rel=10.0**-digits)
    assert value("count", parts) == len(values)


ANSCOMBE_X = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
ANSCOMBE: dict[str, tuple[list[float], float]] = {
    "I": ([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68], 0.5001),
    "II": ([9.14, 8.14, 8.74, 8.77, 9.26, 8.10, 6.13, 3.10, 9.13, 7.26, 4.74], 0.5000),
    "III": ([7.46, 6.77, 12.74, 7.11, 7.81, 8.84, 6.08, 5.39, 8.15, 6.42, 5.73], 0.4997),
}


@pytest.mark.parametrize("name", ANSCOMBE)
def test_the_slope_of_anscombes_sets_is_the_printed_one(name: str) -> None:
    """With x read as hours and each point a block of its own, times go back and forth; the line stays."""
    y, slope = ANSCOMBE[name]
    parts = [samples(np.array([b]), start_us=a * HOUR_US) for a, b in zip(ANSCOMBE_X, y, strict=True)]

    assert value("slope_per_hour", parts) == pytest.approx(slope, abs=5e-5)
    assert value("mean", parts) == pytest.approx(7.50, abs=0.005)
    assert value("std_sample", parts) == pytest.approx(2.03, abs=0.005)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 5], {"kurtosis": 1.7, "skewness": 0.0, "variance": 2.0, "std_sample": math.sqrt(2.5)}),
        ([-1, 1], {"kurtosis": 1.0, "skewness": 0.0, "variance": 1.0, "crest_factor": 1.0, "rms": 1.0}),
        ([0, 0, 0, 4], {"kurtosis": 7 / 3, "skewness": 2 / math.sqrt(3), "mean": 1.0, "impulse_factor": 4.0}),
        ([3, -4], {"rms": math.sqrt(12.5), "peak": 4.0, "peak_to_peak": 7.0, "mean_abs": 3.5, "min": -4.0, "max": 3.0}),
        ([1, -9], {"clearance_factor": 9 / 4, "impulse_factor": 9 / 5, "shape_factor": math.sqrt(41) / 5}),
        ([-5, -2], {"peak": 5.0, "max": -2.0, "min": -5.0, "first": -5.0, "last": -2.0, "peak_to_peak": 3.0}),
    ],
)
def test_small_samples_have_the_values_worked_out_by_hand(values: list[float], expected: dict[str, float]) -> None:
    """As one block, and sample by sample."""
    for size in (len(values), 1):
        found = {name: value(name, cut(values, size)) for name in expected}
        assert found == pytest.approx(expected, rel=1e-14)


def exact(values: list[int]) -> dict[str, float]:
    """Return statistics from exact rational moments, rounded once."""
    n = len(values)
    mean = Fraction(sum(values), n)
    m2, m3, m4 = (sum((x - mean) ** power for x in values) / n for power in (2, 3, 4))
    found = {
        "mean": float(mean),
        "variance": float(m2),
        "rms": math.sqrt(Fraction(sum(x * x for x in values), n)),
        "mean_abs": float(Fraction(sum(map(abs, values)), n)),
    }
    if n > 1:
        found["std_sample"] = math.sqrt(m2 * n / (n - 1))
    if m2:
        found |= {"kurtosis": float(m4 / m2**2), "skewness": float(m3) / float(m2) ** 1.5}
        found["crest_factor"] = max(map(abs, values)) / found["rms"]
    return found


@settings(max_examples=120, deadline=None)
@given(values=st.lists(st.integers(-1000, 1000), min_size=1, max_size=40), size=st.integers(1, 40))
def test_statistics_are_those_of_exact_arithmetic(values: list[int], size: int) -> None:
    """Any whole numbers, cut anyhow: ten digits agree with fractions that were never rounded on the way."""
    expected = exact(values)

    found = {name: value(name, cut([float(x) for x in values], size)) for name in expected}

    assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(values=st.lists(st.integers(-50, 50), min_size=3, max_size=30), shift=st.integers(-10, 10))
@settings(max_examples=80, deadline=None)
def test_shape_does_not_depend_on_offset_scale_or_sign_where_it_should_not(values: list[int], shift: int) -> None:
    """Spread ignores an offset; skewness turns with the sign; factors of |x| ignore scale and sign."""
    x = np.array(values, dtype=float)
    one, moved, mirrored, scaled = ([samples(y)] for y in (x, x + shift, -x, 8 * x))

    def same(name: str, left: list[Samples], right: list[Samples], factor: float = 1.0) -> None:
        assert value(name, left) == pytest.approx(factor * value(name, right), rel=1e-9, nan_ok=True), name

    for name in ("variance", "kurtosis", "skewness", "slope_per_hour", "peak_to_peak"):
        same(name, moved, one)
    for name in ("kurtosis", "crest_factor", "shape_factor", "impulse_factor", "clearance_factor", "rms"):
        same(name, mirrored, one)
    for name in ("skewness", "slope_per_hour", "mean"):
        same(name, mirrored, one, -1.0)
    for name in ("kurtosis", "skewness", "crest_factor", "shape_factor", "impulse_factor", "clearance_factor"):
        same(name, scaled, one)
    same("variance", scaled, one, 64.0)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_sample_deviation_needs_two_samples(count: int) -> None:
    """Divided by N - 1: undefined for one sample, exact for two, where the other deviation is 0 and 1."""
    x = [float(i) for i in range(count)]

    found = value("std_sample", cut(x, 1))

    assert math.isnan(found) if count == 1 else found == pytest.approx(float(np.std(x, ddof=1)))
    assert value("std", cut(x, 1)) == pytest.approx(float(np.std(x)))


@pytest.mark.parametrize(
    ("full_scale", "ratio"),
    [(5.0, 2 / 4), (5.000001, 2 / 4), (5.00002, 0.0), (4.9, 2 / 4), (1.0, 3 / 4), (np.nan, 0.0)],
)
def test_a_sample_at_full_scale_counts_as_clipped_on_either_side(full_scale: float, ratio: float) -> None:
    """Within a millionth below the full scale, or beyond it; of the measured samples only."""
    x = np.array([5.0, np.nan, -5.0, 0.5, 1.0])

    assert value("clipped_ratio", [samples(x, full_scale=full_scale)]) == ratio
    assert value("missing_ratio", [samples(x, full_scale=full_scale)]) == 1 / 5


@pytest.mark.parametrize(("rate_hz", "window_s", "coverage"), [(1.0, 60.0, 3 / 60), (10.0, 1.0, 0.3), (0.1, 30.0, 1.0)])
def test_coverage_is_seconds_measured_over_seconds_of_the_window(
    rate_hz: float, window_s: float, coverage: float
) -> None:
    """Three measured samples of four sent, at any rate."""
    part = samples(np.array([1.0, np.nan, 2.0, 3.0]), rate_hz=rate_hz)

    assert value("coverage", [part], window_s=window_s) == pytest.approx(coverage, rel=1e-15)


def test_first_and_last_of_equal_times_are_the_earlier_and_the_later_part() -> None:
    """Two blocks of one time: the one folded first gives the first, the one folded last the last."""
    parts = [samples(np.array([1.0, 2.0])), samples(np.array([3.0, 4.0]))]

    assert (value("first", parts), value("last", parts)) == (1.0, 4.0)
    assert (value("first", parts[::-1]), value("last", parts[::-1])) == (3.0, 2.0)


def test_first_and_last_skip_what_was_not_measured() -> None:
    """The first measured sample has the time of its own place in the block, not of the block's start."""
    late = samples(np.array([np.nan, np.nan, 7.0]), start_us=0)
    early = samples(np.array([5.0]), start_us=1_000_000)

    assert value("first", [late, early]) == 5.0
    assert value("last", [late, early]) == 7.0


def test_a_deviation_is_signed() -> None:
    """Mean of the window minus mean of the baseline: below it is negative."""
    function = catalogue.function("deviation_from_baseline[3]")
    (moments,) = function.needs
    low, high = (moments.prepare(samples(np.array([x, x + 2.0])))[0] for x in (1.0, 10.0))

    assert float(function.finish({"moments": low, "baseline:moments": high}, Context(window_s=1.0))) == -9.0
    assert (function.baseline_tiles, function.unit) == (3, "{unit}")
