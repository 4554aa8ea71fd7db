"""Whatever order, batch or pace blocks come in, the rows are the oracle's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineshaft.specs import BLOCK_SCHEMA, Feature, Source, View, block_end_us
from lineshaft.testing import compare_rows, oracle_rows, sort_rows
from lineshaft.tiles.engine import Engine, block_tiles
from lineshaft.tiles.plan import TilePlan
from lineshaft.tiles.timeline import Timeline

MINUTE = 60_000_000
FUNCTIONS = (
    "mean",
    "std",
    "kurtosis",
    "min",
    "max",
    "last",
    "rms",
    "crest_factor",
    "slope_per_hour",
    "coverage",
    "count",
)
FOREVER = 2**61


def make_view(*, grace_us: int = 0, lateness_us: int = 10 * MINUTE, baseline: bool = False) -> View:
    """Return a view of two channels with windows of one, three and five minutes."""
    features = [
        Feature(name=f"{channel}_{function}_{window}m", column=channel, function=function, window_us=window * MINUTE)
        for channel in ("a", "b")
        for function in FUNCTIONS
        for window in (1, 3, 5)
    ]
    if baseline:
        features += [
            Feature(name=name, column="a", function=f"{name}[3]", window_us=3 * MINUTE)
            for name in ("deviation_from_baseline", "sigmas_from_baseline", "std_over_baseline", "rms_over_baseline")
        ]
    return View(
        name="parity",
        source=Source(name="parity_blocks", channels=("a", "b"), units=("g", "g")),
        entity_keys=(("asset_id", "string"), ("position", "string")),
        features=tuple(features),
        tile_us=MINUTE,
        grace_us=grace_us,
        lateness_us=lateness_us,
    )


def make_block(
    *, asset: str, start_us: int, delay_us: int, sequence: int, values: np.ndarray[Any, Any]
) -> dict[str, Any]:
    """Return one block of a second's length, received `delay_us` after its end."""
    samples = values.shape[1]
    rate = float(samples)
    return {
        "asset_id": asset,
        "position": "p",
        "start_us": start_us,
        "known_us": block_end_us(start_us, samples, rate) + delay_us,
        "sequence": sequence,
        "rate_hz": rate,
        "dtype": "f4",
        "payload": values.astype("<f4").tobytes(),
        "shaft_hz": None,
        "bearing": None,
        "full_scale": 100.0,
    }


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Generate blocks with gaps, repeats, replacements, late and far too late receipts, NaN, constants, restarts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    blocks: list[dict[str, Any]] = []
    for asset in draw(st.sampled_from([("x",), ("x", "y")])):
        minute = 0
        for _ in range(draw(st.integers(1, 12))):
            minute += draw(st.sampled_from([0, 0, 1, 1, 1, 2, 4, 30]))
            offset = draw(st.integers(0, 59_999_999))
            samples = draw(st.sampled_from([1, 2, 7, 64]))
            scale, base = draw(st.sampled_from([(1.0, 0.0), (0.0, 0.1), (1e-3, 1e5), (50.0, 0.0)]))
            values = rng.normal(base, 1.0, (2, samples)) * (scale or 0.0) + (base if not scale else 0.0)
            holes = draw(st.sampled_from(["none", "some", "all"]))
            if holes != "none":
                values[0, slice(None) if holes == "all" else rng.integers(0, samples)] = np.nan
            delay = draw(st.sampled_from([0, 0, 0, 1_000_000, 70_000_000, 5 * MINUTE, 9 * MINUTE, 11 * MINUTE]))
            block = make_block(
                asset=asset, start_us=minute * MINUTE + offset, delay_us=delay, sequence=len(blocks), values=values
            )
            blocks.append(block)
            again = draw(st.sampled_from(["no", "no", "repeat", "replace"]))
            if again != "no":
                later = dict(block, known_us=block["known_us"] + draw(st.sampled_from([0, 1, 90_000_000])))
                if again == "replace":
                    later["payload"] = (np.nan_to_num(values) + 1).astype("<f4").tobytes()
                blocks.append(later)
    return blocks


def as_table(blocks: list[dict[str, Any]]) -> pa.Table:
    """Return blocks as a table."""
    return pa.Table.from_pylist(blocks, schema=BLOCK_SCHEMA)


def run(view: View, blocks: list[dict[str, Any]], *, batch: int, step_us: int | None) -> pa.Table:
    """Run the engine: blocks in batches, in one go or step by step along receipt time."""
    engine = Engine(view)
    parts = []
    if step_us is None:
        for start in range(0, len(blocks), batch):
            engine.add(as_table(blocks[start : start + batch]))
    else:
        waiting = sorted(blocks, key=lambda b: b["known_us"])
        now = waiting[0]["known_us"] if waiting else 0
        while waiting:
            ready = [b for b in waiting if b["known_us"] <= now]
            waiting = waiting[len(ready) :]
            for start in range(0, len(ready), batch):
                engine.add(as_table(ready[start : start + batch]))
            parts.append(engine.advance(now))
            now = max(now + step_us, waiting[0]["known_us"] if waiting else now)
    parts.append(engine.advance(FOREVER))
    return sort_rows(view, pa.concat_tables(parts))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    blocks=streams(),
    batch=st.sampled_from([1, 3, 1000]),
    step_us=st.sampled_from([None, 1_000_000, 37_000_000, 10 * MINUTE]),
    grace_us=st.sampled_from([0, 5_000_000]),
    baseline=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_engine_equals_oracle_on_generated_streams(
    blocks: list[dict[str, Any]], batch: int, step_us: int | None, grace_us: int, baseline: bool, order: Any
) -> None:
    """Late, repeated, replaced, shuffled, gappy, constant and missing samples change no bit and no version."""
    view = make_view(grace_us=grace_us, baseline=baseline)
    order.shuffle(blocks)

    ours = run(view, blocks, batch=batch, step_us=step_us)

    result = compare_rows(view, ours, oracle_rows(view, as_table(blocks)))
    assert result.equal, result


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(blocks=streams(), cut=st.integers(0, 30), baseline=st.booleans())
def test_a_timeline_restored_from_its_buckets_goes_on_alike(
    blocks: list[dict[str, Any]], cut: int, baseline: bool
) -> None:
    """State written bucket by bucket and read back at any moment changes no later row."""
    view = make_view(baseline=baseline)
    plan = TilePlan.of(view)
    kept = [b for b in sorted(blocks, key=lambda b: b["known_us"]) if b["asset_id"] == "x"]
    straight, broken = Timeline(plan), Timeline(plan)
    stored: dict[int, bytes] = {}
    for place, (_, block) in enumerate(block_tiles(plan, as_table(kept))):
        straight.add(block)
        broken.add(block)
        first, second = straight.advance(block.known_us), broken.advance(block.known_us)
        np.testing.assert_array_equal(first.values.view(np.int64), second.values.view(np.int64))
        assert first.known_us.tolist() == second.known_us.tolist()
        for end, data in broken.take_changes().items():
            stored.pop(end, None) if data is None else stored.__setitem__(end, data)
        if place == cut:
            broken = Timeline.restore(plan, broken.done_us, stored.values())
    last = straight.advance(FOREVER), broken.advance(FOREVER)
    np.testing.assert_array_equal(last[0].values.view(np.int64), last[1].values.view(np.int64))


def test_a_block_later_than_allowed_is_refused_with_a_reason() -> None:
    """What comes after the allowed lateness is counted, not folded."""
    view = make_view(lateness_us=MINUTE)
    late = make_block(asset="x", start_us=0, delay_us=2 * MINUTE, sequence=0, values=np.ones((2, 4)))

    refused = Engine(view).add(as_table([late]))

    assert refused["reason"].to_pylist() == ["too_late"]


def test_a_late_block_makes_a_later_version_and_leaves_the_first_as_it_was() -> None:
    """History as served stays: the corrected row has a later known_at."""
    view = make_view()
    first = make_block(asset="x", start_us=0, delay_us=0, sequence=0, values=np.ones((2, 4)))
    late = make_block(asset="x", start_us=5_000_000, delay_us=90_000_000, sequence=1, values=np.full((2, 4), 3.0))

    rows = run(view, [first, late], batch=10, step_us=None)

    assert rows["a_mean_1m"].to_pylist() == [1.0, 2.0]
    assert rows["event_time"].cast(pa.int64()).to_pylist() == [MINUTE, MINUTE]
    assert rows["known_at"].cast(pa.int64()).to_pylist() == [MINUTE, 2 * MINUTE]


def test_a_late_block_in_the_baseline_corrects_every_later_row() -> None:
    """A baseline that changes late is told to all rows that were compared with it, however long ago."""
    view = make_view(baseline=True)
    blocks = [
        make_block(asset="x", start_us=i * MINUTE, delay_us=0, sequence=i, values=np.full((2, 4), float(i)))
        for i in range(12)
    ]
    late = make_block(asset="x", start_us=30_000_000, delay_us=9 * MINUTE, sequence=99, values=np.full((2, 4), 8.0))

    rows = run(view, [*blocks, late], batch=100, step_us=None)

    corrected = rows.filter(pa.compute.greater(rows["known_at"], rows["event_time"]))
    assert corrected.num_rows == 9  # the tick of the same moment is on time
    assert compare_rows(view, rows, oracle_rows(view, as_table([*blocks, late]))).equal


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_no_bit_depends_on_how_blocks_are_batched(batch: int) -> None:
    """Kernels over one block or five hundred give the same bits."""
    rng = np.random.default_rng(7)
    blocks = [
        make_block(asset="x", start_us=i * 1_000_000, delay_us=0, sequence=0, values=rng.normal(0, 1, (2, 256)))
        for i in range(500)
    ]
    view = make_view()

    ours = run(view, blocks, batch=batch, step_us=None)

    assert compare_rows(view, ours, run(view, blocks, batch=1000, step_us=None)).equal
