"""Functions against the entity's own beginning say what NumPy says of the same samples."""

from __future__ import annotations

import numpy as np
import pytest

from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Context, Samples
from lineshaft.tiles.moments import Moments


def moments(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the moments of one block of samples."""
    block = Samples(
        values=values[None, :],
        rate_hz=1.0,
        start_us=np.zeros(1, np.int64),
        shaft_hz=np.full(1, np.nan),
        full_scale=np.full(1, np.nan),
        orders=np.full((1, 4), np.nan),
    )
    state: np.ndarray[tuple[int], np.dtype[np.float64]] = Moments().prepare(block)[0]
    return state


WINDOW, FIRST = np.random.default_rng(4).normal(3, 2, 50), np.random.default_rng(5).normal(1, 0.5, 90)


def told(name: str, window: object, first: object) -> float:
    """Return what a function says of a window and a baseline."""
    function = catalogue.function(f"{name}[7]")
    assert function.baseline_tiles == 7
    return float(function.finish({"moments": window, "baseline:moments": first}, Context(window_s=1.0)))  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        ("deviation_from_baseline", WINDOW.mean() - FIRST.mean()),
        ("sigmas_from_baseline", (WINDOW.mean() - FIRST.mean()) / FIRST.std()),
        ("std_over_baseline", WINDOW.std() / FIRST.std()),
        ("rms_over_baseline", np.sqrt(np.mean(WINDOW**2) / np.mean(FIRST**2))),
    ],
)
def test_a_comparison_is_what_its_formula_says(name: str, truth: float) -> None:
    """Of 50 and 90 samples, to the last digits; undefined while the baseline is."""
    assert told(name, moments(WINDOW), moments(FIRST)) == pytest.approx(truth, rel=1e-12)
    assert np.isnan(told(name, moments(WINDOW), np.full(5, np.nan)))


@pytest.mark.parametrize("name", ["sigmas_from_baseline", "std_over_baseline", "rms_over_baseline"])
def test_nothing_is_many_times_a_standstill(name: str) -> None:
    """A baseline of zeros has no spread and no level: null, not infinity."""
    assert np.isnan(told(name, moments(WINDOW), moments(np.zeros(9))))
