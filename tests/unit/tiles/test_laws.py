"""Every aggregator of the catalogue keeps the laws that make all paths give the same bits."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Aggregator, Floats, Samples
from lineshaft.tiles.laws import check_laws, fold, random_samples, rows_of, same_bits
from lineshaft.tiles.moments import Moments
from lineshaft.tiles.sums import add
from lineshaft.tiles.trend import Trend

AGGREGATORS: dict[str, Aggregator] = {
    a.key: a for entry in catalogue.entries() for a in catalogue.function(entry.example).needs
}
every = pytest.mark.parametrize("aggregator", AGGREGATORS.values(), ids=AGGREGATORS.keys())


@every
@pytest.mark.parametrize("seed", range(3))
def test_laws(aggregator: Aggregator, seed: int) -> None:
    """Identity, batching, broadcasting and order hold, for blocks of 0 to 1000 samples with holes and constants."""
    check_laws(aggregator, rng=np.random.default_rng(seed))


def test_moments_merged_one_by_one_have_the_bits_of_many_at_once() -> None:
    """Python's floats and NumPy's arrays agree on noise, on parts that are empty and on numbers that overflow."""
    rng = np.random.default_rng(3)
    left, right = np.abs(rng.standard_normal((2, 400, 5)))
    left[:40], right[20:60] = left[:40] * 1e160, right[20:60] * 1e160
    left[::7], right[::5] = 0.0, 0.0
    left[3, 3], right[4, 1] = np.inf, -np.inf

    many = Moments().merge(left, right)

    one_by_one = [Moments().merge(a, b) for a, b in zip(left, right, strict=True)]
    assert same_bits(np.stack(one_by_one), many)
    assert np.isinf(many).any()
    assert np.isnan(many).any()


@every
@pytest.mark.parametrize("length", [1000, 2560])
def test_batches_of_any_size_give_the_same_bits(aggregator: Aggregator, length: int) -> None:
    """512 blocks prepared at once, or 1, 7 and 500 at a time, differ in 0 bits."""
    samples = random_samples(np.random.default_rng(length), blocks=512, length=length)
    together = aggregator.prepare(samples)

    for size in (1, 7, 500):
        apart = [aggregator.prepare(rows_of(samples, slice(i, i + size))) for i in range(0, 512, size)]
        assert same_bits(np.concatenate(apart), together), size


@every
@pytest.mark.parametrize("length", [1009, 4096, 4099, 9000])
def test_any_block_length_works(aggregator: Aggregator, length: int) -> None:
    """Prime lengths, and lengths above one segment, keep the laws too."""
    check_laws(aggregator, rng=np.random.default_rng(1), lengths=(length,))


@every
def test_a_slice_of_a_larger_array_gives_the_same_bits(aggregator: Aggregator) -> None:
    """A channel cut out of an interleaved batch is summarised as its contiguous copy is."""
    rng = np.random.default_rng(3)
    cube = rng.standard_normal((9, 3, 512))
    samples = random_samples(rng, blocks=9, length=512)
    cut = replace(samples, values=cube[:, 1])
    copy = replace(samples, values=cube[:, 1].copy())

    assert same_bits(aggregator.prepare(cut), aggregator.prepare(copy))


@every
def test_a_block_without_samples_is_the_identity(aggregator: Aggregator) -> None:
    """Nothing measured leaves a window as it was; only coverage counts what was sent."""
    samples = random_samples(np.random.default_rng(0), blocks=4, length=64, holes=False)
    nothing = replace(samples, values=np.full((4, 64), np.nan))
    expected = np.tile(aggregator.empty(), (4, 1))
    if aggregator.key == "coverage":
        expected[:, 1:3] = 64

    assert same_bits(aggregator.prepare(nothing), expected)


def test_functions_travel() -> None:
    """Every function survives pickling, as jobs on other machines need."""
    for entry in catalogue.entries():
        function = catalogue.function(entry.example)
        assert pickle.loads(pickle.dumps(function)).name == function.name  # noqa: S301 - our own bytes


def test_the_check_names_the_broken_law() -> None:
    """A team's aggregator whose batches influence each other is told so."""

    @dataclass(frozen=True)
    class Leaky:
        key: ClassVar[str] = "leaky"
        version: ClassVar[int] = 1
        fields: ClassVar[tuple[str, ...]] = ("sum",)

        def prepare(self, samples: Samples) -> Floats:
            return np.full((len(samples.values), 1), float(len(samples.values)))

        def merge(self, left: Floats, right: Floats) -> Floats:
            return add(left, right)

        def empty(self) -> Floats:
            return np.zeros(1)

    with pytest.raises(AssertionError, match="leaky breaks a law: batches of 1 give the same bits"):
        check_laws(Leaky(), rng=np.random.default_rng(0))


blocks = st.lists(
    arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=8
)


@settings(max_examples=200, deadline=None)
@given(blocks)
def test_moments_of_parts_are_those_of_the_whole(parts: list[Floats]) -> None:
    """However a signal is cut into blocks, the merged central sums agree with one pass over all of it."""
    whole = np.concatenate(parts)
    merged = fold(Moments(), np.concatenate([Moments().prepare(_one(part)) for part in parts]))
    spread = np.abs(whole).max() + 1e-300

    assert merged[0] == len(whole)
    np.testing.assert_allclose(merged[1], whole.mean(), rtol=0, atol=1e-12 * spread)
    for power in (2, 3, 4):
        central = ((whole - whole.mean()) ** power).sum()
        np.testing.assert_allclose(merged[power], central, rtol=1e-9, atol=1e-11 * len(whole) * spread**power)


@settings(max_examples=200, deadline=None)
@given(blocks, st.integers(0, 10**9))
def test_the_slope_of_parts_is_that_of_the_whole(parts: list[Floats], gap_us: int) -> None:
    """Blocks with a gap between them give the least-squares line through all their samples."""
    period_us, start, states, times = 1_000_000, 1_700_000_000_000_000, [], []
    for part in parts:
        states.append(Trend().prepare(_one(part, start_us=start, rate_hz=1.0)))
        times.append(start + period_us * np.arange(len(part)))
        start += period_us * len(part) + gap_us
    t = (np.concatenate(times) - 1_700_000_000_000_000) / 1e6
    x = np.concatenate(parts)
    merged = fold(Trend(), np.concatenate(states))

    dt, dx = t - t.mean(), x - x.mean()
    np.testing.assert_allclose(merged[4], (dt * dt).sum(), rtol=1e-9)
    np.testing.assert_allclose(merged[5], (dt * dx).sum(), rtol=1e-9, atol=1e-9 * np.abs(dt).max() * np.abs(x).max())


def _one(values: Floats, *, start_us: int = 0, rate_hz: float = 1.0) -> Samples:
    """Return one block."""
    unknown = np.array([np.nan])
    return Samples(
        values=values[None, :],
        rate_hz=rate_hz,
        start_us=np.array([start_us]),
        shaft_hz=unknown,
        full_scale=unknown,
        orders=np.full((1, 4), np.nan),
    )
