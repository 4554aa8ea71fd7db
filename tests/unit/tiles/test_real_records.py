"""The test vectors and diagnoses of real bearing records, from raw files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import io

from lineshaft.specs.bearings import Bearing
from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Context, Floats, Samples
from lineshaft.tiles.laws import evaluate, fold
from lineshaft.tiles.ondemand import ondemand

SKF_6205, NICE = "9,0.3126,1.537,0", "8,0.235,1.245,0"
CWRU = {
    "normal": ("normal_0_97.mat", "X097_DE_time", 1796),
    "inner": ("12k_Drive_End_IR007_0_105.mat", "X105_DE_time", 1797),
    "ball": ("12k_Drive_End_B007_0_118.mat", "X118_DE_time", 1796),
    "outer": ("12k_Drive_End_OR007@6_0_130.mat", "X130_DE_time", 1796),
}
FIRST_2048 = {  # the first 2048 samples of the drive-end channel, in g, to six decimals
    "mean": (0.012005, 0.015558, 0.015751, 0.034303),
    "std": (0.072266, 0.288326, 0.133677, 0.670713),
    "std_sample": (0.072284, 0.288397, 0.133710, 0.670877),
    "rms": (0.073256, 0.288746, 0.134602, 0.671590),
    "peak": (0.272869, 1.482708, 0.481783, 3.547583),
    "peak_to_peak": (0.490663, 2.657926, 0.934489, 6.520958),
    "skewness": (-0.137322, 0.137007, 0.011866, 0.131969),
    "kurtosis": (2.954176, 5.508837, 2.899283, 7.672676),
    "crest_factor": (3.724845, 5.134991, 3.579324, 5.282364),
    "shape_factor": (1.247561, 1.400394, 1.243771, 1.644074),
    "impulse_factor": (4.646972, 7.191010, 4.451857, 8.684596),
    "clearance_factor": (5.471902, 9.060387, 5.226520, 12.170372),
}
UNBIASED = {  # pandas and tsfresh: G1, and excess G2
    "skewness": (-0.137422, 0.137107, 0.011875, 0.132066),
    "kurtosis": (-0.043000, 2.517908, -0.098028, 4.687039),
}
WHOLE = {"rms": (0.073764, 0.291526, 0.139234, 0.669506), "kurtosis": (2.764243, 5.395864, 2.984716, 7.649435)}
RECORDS = {name: i for i, name in enumerate(CWRU)}
LINES = ("bpfo", "bpfi", "bsf", "2bsf", "ftf")

records = pytest.mark.parametrize("record", RECORDS)


@records
@pytest.mark.parametrize("function", FIRST_2048)
def test_vectors(data_root: Path, record: str, function: str) -> None:
    """Each time feature of each record agrees with its reference in every printed digit."""
    value = evaluate(catalogue.function(function), cwru(data_root, record, samples=2048))

    assert f"{value:.6f}" == f"{FIRST_2048[function][RECORDS[record]]:.6f}"


@records
def test_unbiased_variants(data_root: Path, record: str) -> None:
    """The unbiased variants of other tools follow from ours by their textbook factors."""
    n, samples = 2048, cwru(data_root, record, samples=2048)
    skew = evaluate(catalogue.function("skewness"), samples) * np.sqrt(n * (n - 1)) / (n - 2)
    excess = evaluate(catalogue.function("kurtosis"), samples) - 3
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6)

    assert f"{skew:.6f}" == f"{UNBIASED['skewness'][RECORDS[record]]:.6f}"
    assert f"{kurtosis:.6f}" == f"{UNBIASED['kurtosis'][RECORDS[record]]:.6f}"


@records
@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("block", [None, 2048, 1000])
def test_whole_records(data_root: Path, record: str, name: str, block: int | None) -> None:
    """Rms and kurtosis of whole records come out the same from one block or from many merged ones."""
    signal = cwru(data_root, record).values[0]
    size = block or len(signal)
    full = len(signal) // size * size
    parts = [signal[:full].reshape(-1, size), signal[None, full:]]
    function = catalogue.function(name)
    state = {
        a.key: fold(
            a,
            np.concatenate([a.prepare(blocks_of(p, rate_hz=12_000.0, shaft_hz=30.0, bearing=SKF_6205)) for p in parts]),
        )
        for a in function.needs
    }

    assert f"{function.finish(state, Context(window_s=1.0)):.6f}" == f"{WHOLE[name][RECORDS[record]]:.6f}"


def test_wavelet_packets(data_root: Path) -> None:
    """The eight packet energies of the inner-race record agree in every printed digit and sum to sum(x^2)."""
    expected = (7.2483, 18.6761, 13.1713, 60.8068, 54.9637, 14.0449, 1.5813, 0.2580)
    samples = cwru(data_root, "inner", samples=2048)
    energies = [evaluate(catalogue.function(f"wavelet_energy[{i}]"), samples) for i in range(8)]

    assert [f"{e:.4f}" for e in energies] == [f"{e:.4f}" for e in expected]
    assert f"{sum(energies):.6f}" == "170.750383"
    np.testing.assert_allclose(sum(energies), (samples.values**2).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("record", "frequency", "ratio", "line"),
    [("inner", "161.70", 269, "bpfi"), ("outer", "107.61", 617, "bpfo"), ("normal", "29.91", 89, "1x")],
)
def test_envelope_peaks(data_root: Path, record: str, frequency: str, ratio: int, line: str) -> None:
    """The strongest envelope line of each record is the published one, and it is the line of its cause."""
    samples = cwru(data_root, record)
    peak_hz = evaluate(catalogue.function("envelope_peak_frequency"), samples)
    at_line = evaluate(catalogue.function(f"envelope_ratio[{line}]"), samples)
    peak = evaluate(catalogue.function("envelope_peak"), samples)
    background = evaluate(catalogue.function("envelope_background"), samples)

    assert f"{peak_hz:.2f}" == frequency
    assert round(at_line) == round(peak / background) == ratio


def test_no_fault_line_in_the_healthy_record(data_root: Path) -> None:
    """The healthy bearing shows no defect line above five times its background."""
    samples = cwru(data_root, "normal")

    assert max(evaluate(catalogue.function(f"envelope_ratio[{line}]"), samples) for line in LINES) < 5


DIAGNOSES = {"normal": "not determined", "inner": "inner race", "ball": "not determined", "outer": "outer race"}


@records
@pytest.mark.parametrize("block", [None, 12_000, 4096])
def test_diagnoses(data_root: Path, record: str, block: int | None) -> None:
    """Inner and outer race are named, the ball fault is not forced, from whole records and from short blocks."""
    samples = cwru(data_root, record, block=block)

    assert diagnosis(samples, band="") == DIAGNOSES[record]


@pytest.mark.parametrize(
    ("name", "line", "frequency", "ratio", "log_ratio", "part"),
    [
        ("InnerRaceFault_vload_1", "bpfi", 118.00, 69, "3.31", "inner race"),
        ("OuterRaceFault_vload_1", "bpfo", 80.33, 25, "-1.91", "outer race"),
    ],
)
def test_mfpt(data_root: Path, name: str, line: str, frequency: float, ratio: int, log_ratio: str, part: str) -> None:
    """Within 1 %, full band, background 5-1000 Hz, both MFPT records give the published lines and amplitudes."""
    samples = mfpt(data_root, name)
    setting = "@full~1%/5-1000Hz"
    bpfi, bpfo = (evaluate(catalogue.function(f"envelope_ratio[{x}{setting}]"), samples) for x in ("bpfi", "bpfo"))
    amplitude = evaluate(catalogue.function(f"envelope_amplitude[{line}{setting}]"), samples)
    around = f"{frequency - 0.2:.2f}-{frequency + 0.2:.2f}Hz"
    exact = evaluate(catalogue.function(f"envelope_peak[@full/{around}]"), samples)

    assert round({"bpfi": bpfi, "bpfo": bpfo}[line]) == ratio
    assert f"{np.log(bpfi / bpfo):.2f}" == log_ratio
    assert amplitude == exact
    assert diagnosis(samples, band="@full") == part


def blocks_of(values: Floats, *, rate_hz: float, shaft_hz: float, bearing: str) -> Samples:
    """Return rows of samples as blocks of one shaft and bearing."""
    fitted = Bearing.parse(bearing)
    rows = len(values)
    return Samples(
        values=values,
        rate_hz=rate_hz,
        start_us=np.arange(rows) * round(values.shape[1] * 1e6 / rate_hz),
        shaft_hz=np.full(rows, shaft_hz),
        full_scale=np.full(rows, np.nan),
        orders=np.tile([fitted.bpfo, fitted.bpfi, fitted.bsf, fitted.ftf], (rows, 1)),
    )


def cwru(root: Path, record: str, *, samples: int | None = None, block: int | None = None) -> Samples:
    """Return the first samples of a record (all by default), as one block or as full blocks of one length."""
    file, variable, rpm = CWRU[record]
    signal = np.asarray(io.loadmat(root / "cwru" / file)[variable], dtype=np.float64).ravel()[:samples]
    size = block or len(signal)
    rows = signal[: len(signal) // size * size].reshape(-1, size)
    return blocks_of(rows, rate_hz=12_000.0, shaft_hz=rpm / 60, bearing=SKF_6205)


def mfpt(root: Path, name: str) -> Samples:
    """Return an MFPT record as one block."""
    signal = np.asarray(io.loadmat(root / "mfpt" / f"{name}.mat")["bearing"][0, 0]["gs"], dtype=np.float64)
    return blocks_of(signal.reshape(1, -1), rate_hz=48_828.0, shaft_hz=25.0, bearing=NICE)


def diagnosis(samples: Samples, *, band: str) -> str:
    """Return what the diagnosis function says of a record."""
    ratios = [np.array([evaluate(catalogue.function(f"envelope_ratio[{x}{band}]"), samples)]) for x in LINES]
    return str(ondemand("bearing_diagnosis").compute(ratios)[0])
