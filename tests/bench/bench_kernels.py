"""Samples per CPU second of the tile kernels on one core: moments, extremes and 16 band energies, float64 throughout.

python tests/bench/bench_kernels.py [--blocks 1000] [--repeats 7]

Each batch is summarised from float32 payloads, conversion to float64 included; figures are min / median / max over
repeats of processor time. The batch of every repeat is new, so nothing is cached between them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineshaft.tiles.algebra import Aggregator, Floats, Samples
from lineshaft.tiles.bands import Band
from lineshaft.tiles.catalogue import function
from lineshaft.tiles.extremes import Extremes
from lineshaft.tiles.moments import Moments

RATE_HZ = 20_480.0
BANDS = tuple(Band(low=640.0 * i, high=640.0 * (i + 1)) for i in range(16))
KERNELS: dict[str, tuple[Aggregator, ...]] = {
    "moments + extremes": (Moments(), Extremes()),
    "16 bands": BANDS,
    "moments + extremes + 16 bands": (Moments(), Extremes(), *BANDS),
    "velocity": function("velocity_rms[10-1000Hz]").needs,
    "dominant lines": function("dominant_frequency[1]").needs,
    "envelope lines": function("envelope_ratio[bpfo]").needs,
    "wavelet packets": function("wavelet_energy[0]").needs,
    "trend": function("slope_per_hour").needs,
}


def batch(payload: NDArray[np.float32]) -> Samples:
    """Return a batch as a job makes it: float32 off the wire, float64 inside."""
    rows, n = payload.shape
    return Samples(
        values=payload.astype(np.float64),
        rate_hz=RATE_HZ,
        start_us=np.arange(rows) * round(n * 1e6 / RATE_HZ),
        shaft_hz=np.full(rows, 30.0),
        full_scale=np.full(rows, np.nan),
        orders=np.tile([3.5848, 5.4152, 2.3567, 0.3983], (rows, 1)),
    )


def rates(payload: NDArray[np.float32], kernels: Sequence[Aggregator], repeats: int) -> list[float]:
    """Return million samples per CPU second, ascending."""
    found = []
    for _ in range(repeats + 1):  # the first pays for windows and twiddle factors
        start = time.process_time()
        samples = batch(payload)
        for aggregator in kernels:
            aggregator.prepare(samples)
        found.append(payload.size / (time.process_time() - start) / 1e6)
    return sorted(found[1:])


def worst_error(payload: NDArray[np.float32]) -> float:
    """Return the largest relative error of moments and bands against long double sums and numpy's own transform."""
    x = payload[:20].astype(np.longdouble)
    samples = batch(payload[:20])
    moments = Moments().prepare(samples)
    d = x - x.mean(axis=1, keepdims=True)
    exact = np.stack([(d**k).sum(axis=1) for k in (2, 3, 4)], axis=1)
    size = exact[:, :1] ** (np.array([2, 3, 4]) / 2)
    errors: list[Floats] = [np.abs(moments[:, 2:] - exact).astype(np.float64) / np.asarray(size, dtype=np.float64)]
    n = min(x.shape[1], 4096)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    power = np.abs(np.fft.rfft((d[:, :n] * window).astype(np.float64))) ** 2 * 2 / (n * (window**2).sum())
    power[:, 0] /= 2
    power[:, -1] /= 2 if n % 2 == 0 else 1
    f = np.arange(power.shape[1]) * RATE_HZ / n
    for band in BANDS[:-1] if x.shape[1] == n else ():
        inside = (f >= band.low) & (f < band.high)
        sums = power[:, inside].sum(axis=1)
        got = band.prepare(samples)
        errors.append(np.abs(got[:, 0] / got[:, 1] - sums) / sums)
    return float(max(e.max() for e in errors))


def main() -> None:
    """Print one line per kernel and block length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=0, help="blocks per batch; 0 for 4 million samples")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    for length in (4096, 1000):
        payload = rng.standard_normal((options.blocks or 4_096_000 // length, length)).astype(np.float32)
        print(f"{len(payload)} blocks of {length}: largest relative error {worst_error(payload):.1e}")
        for name, kernels in KERNELS.items():
            low, *_, high = found = rates(payload, kernels, options.repeats)
            figures = f"{low:7.1f} / {found[len(found) // 2]:7.1f} / {high:7.1f}"
            print(f"  {name:32s} {figures} M samples per CPU second")


if __name__ == "__main__":
    main()
