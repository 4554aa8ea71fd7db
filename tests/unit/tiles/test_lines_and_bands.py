"""Spectra where one wrong bin, one wrong line or one wrong gain shows: made-up signals with answers known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Floats, Samples
from lineshaft.tiles.envelope import LINES, Envelope
from lineshaft.tiles.laws import evaluate, fold
from lineshaft.tiles.spectrum import Spectrum, segment_starts
from lineshaft.tiles.velocity import SquaredVelocity

RATE = 12_000
SHAFT_HZ = 30.0
ORDERS = (3.6, 5.4, 2.3, 0.4)
LINES_HZ = {"bpfo": 108, "bpfi": 162, "bsf": 69, "2bsf": 138, "ftf": 12, "1x": 30}
T = np.arange(RATE) / RATE


def block(values: Floats, *, rate_hz: float = RATE, shaft_hz: float = SHAFT_HZ, orders: Any = ORDERS) -> Samples:
    """Return one block, or one a row."""
    rows = np.atleast_2d(values)
    return Samples(
        values=rows,
        rate_hz=float(rate_hz),
        start_us=np.arange(len(rows)) * 10_000_000,
        shaft_hz=np.full(len(rows), shaft_hz),
        full_scale=np.full(len(rows), np.nan),
        orders=np.tile(np.asarray(orders, dtype=float), (len(rows), 1)),
    )


def value(name: str, samples: Samples) -> float:
    """Return a function's value over all blocks."""
    return evaluate(catalogue.function(name), samples)


def struck(hz: float, depth: float = 0.5, *, level: float = 2.0) -> Floats:
    """Return a second of a 3500 Hz ringing whose amplitude moves at `hz`: its envelope has one line, level x depth."""
    return np.asarray(level * (1 + depth * np.cos(2 * np.pi * hz * T)) * np.sin(2 * np.pi * 3500 * T))


@pytest.mark.parametrize("line", LINES)
def test_each_line_is_looked_for_at_its_own_frequency(line: str) -> None:
    """A ringing struck at one line's rate has its amplitude there and at no other line."""
    samples = block(struck(LINES_HZ[line]))

    found = {name: value(f"envelope_amplitude[{name}@full]", samples) for name in LINES}

    assert found.pop(line) == pytest.approx(1.0, rel=1e-9)
    assert max(found.values()) < 1e-9
    assert value("envelope_peak_frequency[@full]", samples) == pytest.approx(LINES_HZ[line])


@pytest.mark.parametrize(
    ("tolerance", "hz", "seen"),
    [
        ("2%", 102, True),
        ("2%", 98, True),
        ("2%", 103, False),
        ("2%", 97, False),
        ("3%", 103, True),
        ("3%", 97, True),
        ("1%", 102, False),
        ("0.5%", 100, True),
    ],
)
def test_a_line_is_the_largest_bin_within_its_tolerance(tolerance: str, hz: int, seen: bool) -> None:
    """On the bound counts, a bin beyond does not; elements slip by a per cent or two."""
    samples = block(struck(hz), orders=(100 / SHAFT_HZ, 5.0, 2.0, 0.4))

    amplitude = value(f"envelope_amplitude[bpfo@full~{tolerance}]", samples)

    assert amplitude == pytest.approx(1.0 if seen else 0.0, abs=1e-9)


@pytest.mark.parametrize(("at_hz", "bin_hz"), [(100.4, 100), (100.6, 101), (99.6, 100), (99.4, 99)])
def test_a_line_narrower_than_a_bin_is_its_nearest_bin(at_hz: float, bin_hz: int) -> None:
    """However small the tolerance, there is one bin to look at."""
    samples = block(struck(bin_hz), orders=(at_hz / SHAFT_HZ, 5.0, 2.0, 0.4))

    assert value("envelope_amplitude[bpfo@full~0.01%]", samples) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(("hz", "seen"), [(4, False), (5, True), (500, True), (501, False)])
def test_the_background_band_holds_its_ends(hz: int, seen: bool) -> None:
    """Peaks are looked for from 5 to 500 Hz, both of them included."""
    samples = block(struck(hz))

    assert (value("envelope_peak[@full]", samples) > 0.9) == seen
    assert (value(f"envelope_peak[@full/{hz}-{hz + 50}Hz]", samples)) == pytest.approx(1.0, rel=1e-9)


def by_scipy(x: Floats, low: float, high: float, rate_hz: float) -> Floats:
    """Return the amplitude spectrum of the envelope by definition, with SciPy's filter and Hilbert transform."""
    sos = signal.butter(4, [low, high], "bandpass", fs=rate_hz, output="sos")
    _, response = signal.sosfreqz(sos, np.fft.rfftfreq(len(x), 1 / rate_hz), fs=rate_hz)
    filtered = np.fft.irfft(np.fft.rfft(x - x.mean()) * np.abs(response) ** 2, len(x))
    envelope = np.abs(signal.hilbert(filtered))
    return np.asarray(np.abs(np.fft.rfft(envelope - envelope.mean())) * 2 / len(x))


@pytest.mark.parametrize("n", [4096, 4097, 5000, 1999])
@pytest.mark.parametrize(
    ("rate_hz", "band"), [(12_000.0, (2000, 5000)), (25_600.0, (500, 12_000)), (12_000.0, (10, 5999))]
)
def test_the_envelope_is_that_of_scipys_filter_run_both_ways(n: int, rate_hz: float, band: tuple[int, int]) -> None:
    """Noise of even and odd length, narrow and wide bands: peak, background and a line agree to nine digits."""
    x = np.random.default_rng(n).standard_normal(n) + 3.0
    amplitude = by_scipy(x, *band, rate_hz)
    f = np.arange(len(amplitude)) * rate_hz / n
    inside = (f >= 5) & (f <= 500)
    text = f"@{band[0]}-{band[1]}Hz"
    samples = block(x, rate_hz=rate_hz)

    assert value(f"envelope_peak[{text}]", samples) == pytest.approx(amplitude[inside].max(), rel=1e-9)
    assert value(f"envelope_background[{text}]", samples) == pytest.approx(np.median(amplitude[inside]), rel=1e-9)
    near = amplitude[(f >= 162 * 0.98) & (f <= 162 * 1.02)].max(
        initial=amplitude[np.rint(162 * n / rate_hz).astype(int)]
    )
    assert value(f"envelope_amplitude[bpfi{text}]", samples) == pytest.approx(near, rel=1e-9)


@pytest.mark.parametrize(("high", "defined"), [(5999, True), (6000, False), (6001, False)])
def test_a_band_that_reaches_nyquist_is_undefined(high: int, defined: bool) -> None:
    """The filter has no upper slope there; just below it there is one."""
    x = np.random.default_rng(0).standard_normal(RATE)

    assert np.isnan(value(f"envelope_peak[@2000-{high}Hz]", block(x))) != defined


@pytest.mark.parametrize(("hz", "defined"), [(5880.0, True), (5890.0, False), (7000.0, False)])
def test_a_line_whose_tolerance_passes_nyquist_is_undefined(hz: float, defined: bool) -> None:
    """6000 Hz is 1.02 times 5882 Hz: a line above that cannot be looked at on all its width."""
    x = np.random.default_rng(0).standard_normal(RATE)
    samples = block(x, orders=(hz / SHAFT_HZ, 5.0, 2.0, 0.4))

    assert np.isnan(value("envelope_amplitude[bpfo@full]", samples)) != defined
    assert value("envelope_amplitude[bpfi@full]", samples) > 0


def test_a_ratio_is_the_line_over_the_background() -> None:
    """Amplitude and background are weighed alike, so that the ratio is theirs."""
    x = np.random.default_rng(4).standard_normal((3, RATE)) + struck(108)
    samples = block(x)

    ratio = value("envelope_ratio[bpfo]", samples)

    assert ratio > 10
    amplitude, background = value("envelope_amplitude[bpfo]", samples), value("envelope_background", samples)
    assert ratio == pytest.approx(amplitude / background, rel=1e-12)


def test_blocks_weigh_what_they_measured() -> None:
    """A second with a line and half a second without: the line's amplitude is two thirds of the first's."""
    envelope = Envelope(low=0.0, high=0.0)
    parts = [block(struck(108)), block(struck(108, 0.0)[: RATE // 2])]
    state = fold(envelope, np.concatenate([envelope.prepare(part) for part in parts]))

    at = Envelope.fields.index("bpfo")
    assert state[at] / state[at + 1] == pytest.approx(2 / 3, rel=1e-9)
    assert state[at + 1] == 1.5 * RATE


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_stronger_peak_of_two_blocks_stays_with_its_frequency(order: tuple[int, int]) -> None:
    """Between blocks the larger amplitude wins whatever their order."""
    rows = np.stack([struck(50, 0.3), struck(80, 0.4)])

    assert value("envelope_peak_frequency[@full]", block(rows[list(order)])) == pytest.approx(80.0)
    assert value("envelope_peak[@full]", block(rows[list(order)])) == pytest.approx(0.8, rel=1e-9)


def test_equal_peaks_are_the_earlier_parts() -> None:
    """Amplitude for amplitude equal, merging keeps the left one's frequency."""
    envelope = Envelope()
    left, right = np.zeros(len(Envelope.fields)), np.zeros(len(Envelope.fields))
    left[:2], right[:2] = (1.0, 50.0), (1.0, 80.0)

    assert envelope.merge(left, right)[:2].tolist() == [1.0, 50.0]
    assert envelope.merge(right, left)[:2].tolist() == [1.0, 80.0]


def test_keys_and_fields_say_every_parameter() -> None:
    """Two envelopes that differ in anything have different keys; the fields name each line and its weight."""
    variants = [
        Envelope(),
        Envelope(low=1000.0),
        Envelope(high=4000.0),
        Envelope(low=0.0, high=0.0),
        Envelope(tolerance=0.015),
        Envelope(around_low=6.0),
        Envelope(around_high=400.0),
    ]

    assert Envelope().key == "envelope[2000-5000Hz~2%/5-500Hz]"
    assert len({envelope.key for envelope in variants}) == len(variants)
    assert Envelope.fields[:6] == ("peak", "peak_hz", "background", "background_weight", "bpfo", "bpfo_weight")
    assert len(Envelope.fields) == 4 + 2 * len(LINES) == len(Envelope().empty())


SIXTEEN = Spectrum(rows=slice(None), powers=np.arange(9.0)[None], rate_hz=16.0, nfft=16, length=16)


@pytest.mark.parametrize(
    ("low", "high", "bins"),
    [
        (2, 5, (2, 5)),
        (0, 1, (0, 1)),
        (2.0, 2.1, (2, 3)),
        (2.1, 3.0, None),
        (2.1, 3.1, (3, 4)),
        (7, 8, (7, 9)),
        (7.5, 8, (8, 9)),
        (0, 8, (0, 9)),
        (7, 8.001, None),
        (9, 10, None),
    ],
)
def test_a_band_holds_its_lower_end_and_not_its_upper_save_at_nyquist(
    low: float, high: float, bins: tuple[int, int] | None
) -> None:
    """Bins 1 Hz apart up to 8 Hz: adjoining bands share none, and the last holds Nyquist."""
    found = SIXTEEN.bins(low, high)

    assert (found is None) == (bins is None)
    if found is not None:
        assert (found.start, found.stop) == bins


@pytest.mark.parametrize(
    ("length", "size"), [(4096, 4096), (4097, 4096), (8191, 4096), (8192, 4096), (10_000, 4096), (100, 7)]
)
def test_segments_cover_a_block_from_its_first_sample_to_its_last(length: int, size: int) -> None:
    """As few as will do, evenly spaced, the first at 0, the last ending with the block, no gap between."""
    starts = np.array(segment_starts(length, size))

    assert len(starts) == -(-length // size)
    assert starts[0] == 0
    assert starts[-1] + size == length
    steps = np.diff(starts)
    assert (steps <= size).all()
    assert np.ptp(steps) <= 1 if len(steps) else True


@pytest.mark.parametrize("hz", [10, 11, 999, 1000])
def test_velocity_counts_both_ends_of_its_band(hz: int) -> None:
    """A sine on either end is inside, a hertz beyond it is outside."""
    sine = np.sin(2 * np.pi * hz * T)
    beyond = np.sin(2 * np.pi * (9 if hz < 500 else 1001) * T)

    assert value("velocity_rms[10-1000Hz]", block(sine)) == pytest.approx(
        9806.65 / (2 * np.pi * hz * np.sqrt(2)), rel=1e-9
    )
    assert value("velocity_rms[10-1000Hz]", block(beyond)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("n", "defined"), [(1199, False), (1200, True), (1201, True)])
def test_velocity_needs_one_period_of_its_lowest_frequency(n: int, defined: bool) -> None:
    """A tenth of a second for 10 Hz: a sample less is undefined, not 0."""
    x = np.random.default_rng(0).standard_normal(n)

    assert np.isnan(value("velocity_rms[10-1000Hz]", block(x))) != defined


def test_velocity_may_reach_nyquist_and_counts_it_once() -> None:
    """A line at Nyquist has no negative twin: its mean square is its amplitude squared, not half of it."""
    alternating = np.tile([1.0, -1.0], 1000)
    samples = block(alternating, rate_hz=2000.0)

    found = value("velocity_rms[10-1000Hz]", samples)

    assert found == pytest.approx(9806.65 / (2 * np.pi * 1000), rel=1e-9)
    assert np.isnan(value("velocity_rms[10-1001Hz]", samples))
    assert SquaredVelocity().key == "squared_velocity[10-1000Hz]"


@pytest.mark.parametrize("hz", [100, 2500, 5900])
def test_the_centroid_of_a_line_is_its_frequency(hz: int) -> None:
    """Power on both sides of a line balances, wherever it lies; two equal lines balance half-way."""
    sine = np.sin(2 * np.pi * hz * np.arange(12_000) / 12_000.0)
    both = sine + np.sin(2 * np.pi * 3000 * np.arange(12_000) / 12_000.0)

    assert value("spectral_centroid", block(sine)) == pytest.approx(hz, rel=1e-3)
    assert value("spectral_centroid", block(both)) == pytest.approx((hz + 3000) / 2, rel=1e-3)


def test_lines_of_a_cell_count_once_and_ranks_go_by_strength() -> None:
    """Three lines far apart come out by amplitude; a fourth has no rank; absent ranks are undefined."""
    t = np.arange(4096) / 4096.0
    lines = {1200: 0.5, 400: 2.0, 800: 1.0, 1600: 0.25}
    x = np.sum([a * np.sin(2 * np.pi * f * t) for f, a in lines.items()], axis=0)
    samples = block(x, rate_hz=4096.0)

    ranked = [
        (value(f"dominant_frequency[{k}]", samples), value(f"dominant_amplitude[{k}]", samples)) for k in (1, 2, 3)
    ]

    np.testing.assert_allclose(ranked, [(400, 2.0), (800, 1.0), (1200, 0.5)], rtol=1e-6)
    one = block(np.sin(2 * np.pi * 400 * t) * 1e3, rate_hz=4096.0)
    assert value("dominant_frequency[1]", one) == pytest.approx(400.0)
    assert not value("dominant_amplitude[2]", one) > 1e-6
