"""Every function against closed forms and against NumPy, SciPy and PyWavelets, to 1e-9."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import pywt
from scipy import signal, stats

from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.laws import evaluate

RATE = 12_000.0
START_US = 1_700_000_000_000_000


def blocks(values: Floats, *, rate_hz: float = RATE) -> Samples:
    """Return rows as consecutive blocks."""
    rows, n = values.shape
    return Samples(
        values=values,
        rate_hz=rate_hz,
        start_us=START_US + np.arange(rows) * round(n * 1e6 / rate_hz),
        shaft_hz=np.full(rows, 30.0),
        full_scale=np.full(rows, np.nan),
        orders=np.tile([3.5848, 5.4152, 2.3567, 0.3983], (rows, 1)),
    )


def value(name: str, values: Floats, *, rate_hz: float = RATE) -> float:
    """Return a function's value over rows of samples."""
    return evaluate(catalogue.function(name), blocks(np.atleast_2d(values), rate_hz=rate_hz))


def clearance(x: Floats) -> float:
    """Return peak over the squared mean root."""
    return float(np.abs(x).max() / np.sqrt(np.abs(x)).mean() ** 2)


def hours_of(x: Floats) -> Floats:
    """Return the times of samples at 10 kHz, in hours."""
    return np.arange(len(x)) / 10_000 / 3600


REFERENCES: dict[str, Callable[[Floats], float]] = {
    "count": len,
    "mean": np.mean,
    "variance": np.var,
    "std": np.std,
    "std_sample": lambda x: float(np.std(x, ddof=1)),
    "rms": lambda x: float(np.sqrt(np.mean(x**2))),
    "skewness": lambda x: float(stats.skew(x)),
    "kurtosis": lambda x: float(stats.kurtosis(x, fisher=False)),
    "min": np.min,
    "max": np.max,
    "first": lambda x: float(x[0]),
    "last": lambda x: float(x[-1]),
    "peak": lambda x: float(np.abs(x).max()),
    "peak_to_peak": np.ptp,
    "mean_abs": lambda x: float(np.abs(x).mean()),
    "crest_factor": lambda x: float(np.abs(x).max() / np.sqrt(np.mean(x**2))),
    "shape_factor": lambda x: float(np.sqrt(np.mean(x**2)) / np.abs(x).mean()),
    "impulse_factor": lambda x: float(np.abs(x).max() / np.abs(x).mean()),
    "clearance_factor": clearance,
    "coverage": lambda _: 1.0,
    "missing_ratio": lambda _: 0.0,
    "clipped_ratio": lambda _: 0.0,
}


SPREADS = {"variance", "std", "std_sample", "skewness", "kurtosis"}  # referred to the offset-free signal


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("offset", [0.0, 1.0, 101_325.0])
@pytest.mark.parametrize("shape", [(1, 5), (40, 1000), (3, 20_000), (6000, 1)])
def test_statistics(name: str, offset: float, shape: tuple[int, int]) -> None:
    """Statistics of merged blocks agree with NumPy and SciPy over the whole signal, at any offset."""
    x = offset + np.random.default_rng(1).standard_normal(shape)
    expected = float(REFERENCES[name](x.ravel() if name not in SPREADS else x.ravel() - offset))

    np.testing.assert_allclose(value(name, x), expected, rtol=1e-9, atol=1e-9)


def test_a_small_vibration_on_a_huge_offset_keeps_its_kurtosis() -> None:
    """101325 Pa +- 1 Pa has the kurtosis of the +-1 Pa, where sums of powers would lose every digit."""
    small = np.random.default_rng(0).integers(-64, 65, size=(50, 1000)) / 64  # exact beside the offset
    moved = small + 101_325.0

    for name in ("variance", "skewness", "kurtosis", "slope_per_hour", "spectral_centroid", "wavelet_energy[5]"):
        tolerance = 1e-6 if name == "wavelet_energy[5]" else 1e-9  # packets filter the offset too
        np.testing.assert_allclose(value(name, moved), value(name, small), rtol=tolerance, atol=1e-9)


def test_slope() -> None:
    """The slope is numpy's least-squares line, and exact for a ramp with holes."""
    x = np.random.default_rng(2).standard_normal((7, 500))
    ramp = 20.0 + 3.5 * hours_of(np.zeros(3500)).reshape(7, 500)
    ramp[:, 100:300] = np.nan
    line = np.polyfit(hours_of(x.ravel()), x.ravel(), 1)[0]

    np.testing.assert_allclose(value("slope_per_hour", x, rate_hz=10_000.0), line, rtol=1e-9)
    np.testing.assert_allclose(value("slope_per_hour", ramp, rate_hz=10_000.0), 3.5, rtol=1e-6)  # ulps of 20


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("crest_factor", "1.414214"),
        ("shape_factor", "1.110721"),
        ("impulse_factor", "1.570796"),
        ("clearance_factor", "1.718796"),
        ("kurtosis", "1.500000"),
    ],
)
def test_shape_factors_of_a_sine(name: str, expected: str) -> None:
    """A sine has the shape factors that its integrals give."""
    x = np.sin(2 * np.pi * (np.arange(1_000_000) + 0.5) / 1_000_000)

    assert f"{value(name, x):.6f}" == expected


@pytest.mark.parametrize("rate", [2560.0, 12_000.0, 25_600.0])
def test_velocity_of_a_sine(rate: float) -> None:
    """1 g peak at 100 Hz is 11.036 mm/s rms; in m/s^2 the same number is 9.80665 times less."""
    sine = np.sin(2 * np.pi * 100.0 * np.arange(int(rate)) / rate)
    exact = 9806.65 / (2 * np.pi * 100.0 * np.sqrt(2.0))

    np.testing.assert_allclose(value("velocity_rms[10-1000Hz]", sine, rate_hz=rate), exact, rtol=1e-12)
    assert f"{exact:.3f}" == "11.036"
    np.testing.assert_allclose(value("velocity_rms[10-1000Hz@m/s2]", sine, rate_hz=rate), exact / 9.80665, rtol=1e-12)


def test_velocity_is_the_integral() -> None:
    """Velocity agrees with integrating a sum of sines by hand; lines outside the band do not count."""
    t = np.arange(12_000) / RATE
    lines = ((5, 9.0), (10, 0.1), (55, 0.4), (1000, 2.0), (1001, 5.0))
    x = np.sum([a * np.sin(2 * np.pi * f * t + f) for f, a in lines], axis=0)
    squares = [(9806.65 * a / (2 * np.pi * f)) ** 2 / 2 for f, a in ((10, 0.1), (55, 0.4), (1000, 2.0))]

    np.testing.assert_allclose(value("velocity_rms[10-1000Hz]", x), np.sqrt(sum(squares)), rtol=1e-9)


@pytest.mark.parametrize("n", [64, 1000, 1009, 2560, 4096])
def test_band_powers_sum_to_the_windowed_variance(n: int) -> None:
    """Parseval: adjoining bands up to Nyquist share out sum((w (x - mean))^2)/sum(w^2), nothing lost, nothing twice."""
    x = np.random.default_rng(n).standard_normal(n)
    window = signal.windows.hann(n, sym=False)
    total = ((window * (x - x.mean())) ** 2).sum() / (window**2).sum()
    bands = ("0-500Hz", "500-2000Hz", "2000-5999.5Hz", "5999.5-6000Hz")
    shares = [value(f"band_power[{band}]", x) for band in bands]

    np.testing.assert_allclose(np.nansum(shares), total, rtol=1e-12)


@pytest.mark.parametrize("segments", [1, 2, 5])
def test_spectrum_is_welch(segments: int) -> None:
    """Band powers and centroid agree with scipy.signal.welch on 4096-sample segments."""
    x = np.random.default_rng(segments).standard_normal(4096 * segments) + 3.0
    f, density = signal.welch(x, RATE, "hann", nperseg=4096, noverlap=0, detrend="constant")
    band = (f >= 1000) & (f < 2500)

    np.testing.assert_allclose(value("band_power[1000-2500Hz]", x), density[band].sum() * (f[1] - f[0]), rtol=1e-10)
    np.testing.assert_allclose(value("spectral_centroid", x), (f * density)[1:].sum() / density[1:].sum(), rtol=1e-10)
    np.testing.assert_allclose(
        value("band_ratio[1000-2500Hz/0-1000Hz]", x), density[band].sum() / density[f < 1000].sum(), rtol=1e-10
    )


def test_shorter_segments_are_a_choice() -> None:
    """A band may name its segment length."""
    x = np.random.default_rng(0).standard_normal(4096)
    f, density = signal.welch(x, RATE, "hann", nperseg=512, noverlap=0, detrend="constant")
    band = (f >= 1000) & (f < 2500)

    np.testing.assert_allclose(value("band_power[1000-2500Hz@512]", x), density[band].sum() * f[1], rtol=1e-10)


def test_dominant_lines() -> None:
    """Lines come out strongest first, whichever block they stand in, with their amplitude and frequency."""
    t = np.arange(4096) / 4096.0
    first = 2.0 * np.sin(2 * np.pi * 300 * t) + 0.5 * np.sin(2 * np.pi * 1000 * t)
    second = 1.9 * np.sin(2 * np.pi * 300 * t) + 1.0 * np.sin(2 * np.pi * 700 * t)
    both = np.stack([first, second])
    found = [(value(f"dominant_frequency[{i}]", both, rate_hz=4096.0), i) for i in (1, 2, 3)]

    np.testing.assert_allclose([f for f, _ in found], [300, 700, 1000], rtol=1e-6)
    amplitudes = [value(f"dominant_amplitude[{i}]", both, rate_hz=4096.0) for _, i in found]
    np.testing.assert_allclose(amplitudes, [2.0, 1.0, 0.5], rtol=1e-6)


def test_a_line_between_two_bins_keeps_its_amplitude() -> None:
    """Half-way between two bins the amplitude is 2 % low at most, and the frequency a quarter of a bin off at most."""
    x = 3.0 * np.sin(2 * np.pi * 300.5 * np.arange(4096) / 4096.0)

    np.testing.assert_allclose(value("dominant_amplitude[1]", x, rate_hz=4096.0), 3.0, rtol=0.02)
    np.testing.assert_allclose(value("dominant_frequency[1]", x, rate_hz=4096.0), 300.5, atol=0.25)


def test_envelope_is_scipys() -> None:
    """The filter on the transform agrees with sosfiltfilt and hilbert where the block's ends do not matter."""
    t = np.arange(120_000) / RATE
    x = (1 + 0.5 * np.cos(2 * np.pi * 107.4 * t)) * np.sin(2 * np.pi * 3500 * t) * np.hanning(len(t))
    x += 0.01 * np.random.default_rng(0).standard_normal(len(t))
    sos = signal.butter(4, [2000, 5000], "bandpass", fs=RATE, output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfiltfilt(sos, x)))
    amplitude = np.abs(np.fft.rfft(envelope - envelope.mean())) * 2 / len(x)
    f = np.arange(len(amplitude)) * RATE / len(x)
    inside = (f >= 5) & (f <= 500)

    np.testing.assert_allclose(value("envelope_peak", x), amplitude[inside].max(), rtol=1e-3)
    np.testing.assert_allclose(value("envelope_background", x), np.median(amplitude[inside]), rtol=2e-2)
    assert value("envelope_peak_frequency", x) == pytest.approx(107.4)


def test_full_band_envelope_is_scipys() -> None:
    """Without a filter the envelope spectrum is that of scipy.signal.hilbert to 1e-9."""
    x = np.random.default_rng(0).standard_normal(5001)
    envelope = np.abs(signal.hilbert(x - x.mean()))
    amplitude = np.abs(np.fft.rfft(envelope - envelope.mean())) * 2 / len(x)
    f = np.arange(len(amplitude)) * RATE / len(x)
    inside, shaft = (f >= 5) & (f <= 500), (f >= 30 * 0.98) & (f <= 30 * 1.02)

    np.testing.assert_allclose(value("envelope_peak[@full]", x), amplitude[inside].max(), rtol=1e-9)
    np.testing.assert_allclose(value("envelope_background[@full]", x), np.median(amplitude[inside]), rtol=1e-9)
    nearest = amplitude[np.rint(30 / f[1]).astype(int)]
    largest = max([*amplitude[shaft], nearest])
    np.testing.assert_allclose(value("envelope_amplitude[1x@full]", x), largest, rtol=1e-9)


@pytest.mark.parametrize("n", [2048, 1000, 1001])
def test_wavelet_packets_are_pywavelets(n: int) -> None:
    """Packet energies are those of pywt.WaveletPacket; for lengths divisible by 8 they sum to sum(x^2)."""
    x = np.random.default_rng(n).standard_normal(n)
    tree = pywt.WaveletPacket(x, "db4", mode="periodization", maxlevel=3)
    energies = [float((node.data**2).sum()) for node in tree.get_level(3, "freq")]

    np.testing.assert_allclose([value(f"wavelet_energy[{i}]", x) for i in range(8)], energies, rtol=1e-9)
    np.testing.assert_allclose(sum(value(f"wavelet_share[{i}]", x) for i in range(8)), 1.0, rtol=1e-12)
    if n % 8 == 0:
        np.testing.assert_allclose(sum(energies), (x**2).sum(), rtol=1e-12)
