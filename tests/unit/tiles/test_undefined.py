"""What is undefined is NaN, never 0; what is measured beside a hole still counts."""

from __future__ import annotations

import numpy as np
import pytest

from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Context, Floats, Samples
from lineshaft.tiles.laws import evaluate
from lineshaft.tiles.moments import Moments

NAMES = [entry.example for entry in catalogue.entries() if not catalogue.function(entry.example).baseline_tiles]
ZERO_WHEN_EMPTY = {"count", "coverage"}
NEED_MOVEMENT = {
    *("skewness", "kurtosis", "crest_factor", "shape_factor", "impulse_factor", "clearance_factor"),
    *("spectral_centroid", "dominant_frequency[1]", "dominant_amplitude[1]", "band_ratio[5000-15000Hz/0-2000Hz]"),
    *("envelope_ratio[bpfo]", "envelope_peak", "envelope_peak_frequency[@full]"),
}


def batch(values: Floats, *, full_scale: float = np.nan, shaft_hz: float = 30.0, rate_hz: float = 40_000.0) -> Samples:
    """Return rows as consecutive blocks of a machine whose bearing is known."""
    rows, n = values.shape
    return Samples(
        values=values,
        rate_hz=rate_hz,
        start_us=np.arange(rows) * round(n * 1e6 / rate_hz),
        shaft_hz=np.full(rows, shaft_hz),
        full_scale=np.full(rows, full_scale),
        orders=np.tile([3.5848, 5.4152, 2.3567, 0.3983], (rows, 1)),
    )


def value(name: str, samples: Samples) -> float:
    """Return a function's value over all blocks."""
    return evaluate(catalogue.function(name), samples, window_s=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_measured(name: str) -> None:
    """Without samples every function is undefined, save the counts, which are 0."""
    for values in (np.empty((0, 16)), np.full((3, 16), np.nan)):
        result = value(name, batch(values))
        assert result == 0 if name in ZERO_WHEN_EMPTY else np.isnan(result) or name == "missing_ratio", values.shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 101_325.7])
def test_constant_windows(name: str, constant: float) -> None:
    """A constant window has no shape, no lines and no centroid; its spread is exactly 0."""
    result = value(name, batch(np.full((3, 8192), constant)))

    if name in NEED_MOVEMENT:
        assert np.isnan(result)
    elif name in {"variance", "std", "std_sample", "peak_to_peak", "slope_per_hour", "velocity_rms[10-1000Hz]"}:
        assert result == 0.0
    elif name in {"mean", "min", "max", "first", "last"}:
        assert result == constant


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_very_short_blocks(name: str, length: int) -> None:
    """Blocks of 1, 2 or 3 samples give numbers or NaN, never a warning or infinity."""
    result = value(name, batch(np.random.default_rng(0).standard_normal((4, length))))

    assert not np.isinf(result)


@pytest.mark.parametrize("name", NAMES)
def test_absurd_values(name: str) -> None:
    """Numbers whose powers overflow give NaN, not infinity and not an exception."""
    result = value(name, batch(np.array([[1e300, -1e300, 3.0] * 2800])))

    assert not np.isinf(result)


def test_holes_are_skipped() -> None:
    """Statistics are those of the measured samples; infinite readings count as not measured."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 50))
    x[rng.random(x.shape) < 0.3] = np.nan
    x[3], x[4, 7] = np.nan, np.inf
    measured = x[np.isfinite(x)]
    samples = batch(x)

    assert value("count", samples) == len(measured)
    np.testing.assert_allclose(value("mean", samples), measured.mean(), rtol=1e-12)
    np.testing.assert_allclose(value("std", samples), measured.std(), rtol=1e-12)
    np.testing.assert_allclose(value("mean_abs", samples), np.abs(measured).mean(), rtol=1e-12)
    assert value("max", samples) == measured.max()
    assert value("first", samples) == measured[0]
    assert value("last", samples) == measured[-1]
    np.testing.assert_allclose(value("missing_ratio", samples), 1 - len(measured) / x.size)
    np.testing.assert_allclose(value("coverage", samples), len(measured) / 40_000.0)


def test_spectra_need_whole_blocks() -> None:
    """A block with a hole has no spectrum; the whole blocks beside it decide."""
    x = np.random.default_rng(0).standard_normal((2, 4096))
    holed = np.vstack([x, x[:1]])
    holed[2, 10] = np.nan

    for name in ("band_power[0-2000Hz]", "spectral_centroid", "velocity_rms[10-1000Hz]", "wavelet_energy[0]"):
        assert value(name, batch(holed)) == value(name, batch(x))
        assert np.isnan(value(name, batch(holed[2:])))


def test_bands_above_nyquist_are_undefined() -> None:
    """A band that the rate cannot show is undefined, not empty: at Nyquist itself it still counts."""
    samples = batch(np.random.default_rng(0).standard_normal((2, 4096)), rate_hz=12_000.0)

    assert np.isnan(value("band_power[5000-15000Hz]", samples))
    assert np.isnan(value("band_power[100-101Hz]", samples)), "narrower than a bin"
    assert np.isnan(value("envelope_ratio[bpfo@2000-6000Hz]", samples))
    assert value("band_power[5000-6000Hz]", samples) > 0


def test_envelope_lines_need_shaft_and_bearing() -> None:
    """Without shaft speed, or with the machine standing, lines are undefined; the peak is not."""
    x = np.random.default_rng(0).standard_normal((2, 8192))

    for shaft_hz in (np.nan, 0.0):
        samples = batch(x, shaft_hz=shaft_hz)
        assert np.isnan(value("envelope_ratio[bpfo]", samples))
        assert np.isnan(value("envelope_amplitude[1x]", samples))
        assert value("envelope_peak", samples) > 0


def test_clipped_samples_are_counted() -> None:
    """Samples at full scale count as clipped, also where float32 rounded them below it; holes do not count."""
    x = np.array([[0.1, float(np.float32(0.7)), -0.7, np.nan], [0.2, 0.3, 0.69, -0.2]])

    assert value("clipped_ratio", batch(x, full_scale=0.7)) == pytest.approx(2 / 7)
    assert value("clipped_ratio", batch(x)) == 0.0


def test_first_and_last_follow_time_not_order() -> None:
    """Overlapping blocks: the earliest and the latest sample decide, wherever they came from."""
    samples = batch(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), rate_hz=1.0)
    shuffled = Samples(
        values=samples.values,
        rate_hz=1.0,
        start_us=np.array([5_000_000, 4_000_000]),
        shaft_hz=samples.shaft_hz,
        full_scale=samples.full_scale,
        orders=samples.orders,
    )

    assert (value("first", shuffled), value("last", shuffled)) == (4.0, 3.0)


def test_deviation_waits_for_its_baseline() -> None:
    """The deviation is undefined until the first tiles are there, then mean minus their mean."""
    function = catalogue.function("deviation_from_baseline[10]")
    state = Moments().prepare(batch(np.array([[5.0, 7.0]])))[0]
    base = Moments().prepare(batch(np.array([[2.0, 2.0]])))[0]
    context = Context(window_s=1.0)

    assert function.finish({"moments": state, "baseline:moments": base}, context) == 4.0
    assert np.isnan(function.finish({"moments": state, "baseline:moments": np.full(5, np.nan)}, context))
