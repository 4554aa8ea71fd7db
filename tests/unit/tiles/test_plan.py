"""A plan decides once what a tile holds; blocks of any shape in one batch come out in their own rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import DefinitionError, InputError
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.tiles.plan import TilePlan, bearing_orders

MINUTE = 60_000_000


def feature(column: str, function: str, minutes: int = 1) -> Feature:
    """Return a feature."""
    return Feature(name=f"{column}_{function}_{minutes}", column=column, function=function, window_us=minutes * MINUTE)


VIEW = View(
    name="v",
    source=Source(name="s", channels=("x", "y", "z"), units=("g", "g", "g")),
    entity_keys=(("asset_id", "string"),),
    features=(
        feature("z", "mean"),
        feature("x", "std", 5),
        feature("x", "mean"),
        feature("z", "max", 2),
        feature("x", "kurtosis", 5),
        feature("x", "envelope_ratio[bpfo]"),
    ),
    where="vibration.py:7",
)


def blocks(samples: int = 64, rate_hz: float = 64.0, dtype: str = "f8", *, seed: int = 0, **more: object) -> pa.Table:
    """Return three blocks of three channels."""
    values = np.random.default_rng(seed).normal(size=(3, 3, samples))
    starts = np.arange(3) * 1_000_000
    return blocks_table(asset_id="a", starts_us=starts, samples=values, rate_hz=rate_hz, dtype=dtype, **more)


def test_a_tile_holds_each_aggregate_of_each_channel_once() -> None:
    """Mean, std and kurtosis of a channel share its moments; channels nobody asks for take no room."""
    plan = TilePlan.of(VIEW)
    held = {segment.aggregator.key: segment.channels for segment in plan.segments}

    assert held["moments"] == (0, 2)
    assert 1 not in {channel for channels in held.values() for channel in channels}
    assert plan.columns == (2, 0, 0, 2, 0, 0)
    assert plan.windows_us == (MINUTE, 2 * MINUTE, 5 * MINUTE)
    assert plan.width == sum(segment.width * len(segment.channels) for segment in plan.segments)
    assert min(s.start for s in plan.segments) == 0


def test_an_unknown_column_is_named_with_its_place() -> None:
    """The error names feature, column, source, file and the columns there are."""
    with pytest.raises(InputError, match="reads 'w', which source 's' lacks") as refused:
        TilePlan.of(replace(VIEW, features=(feature("w", "mean"),)))
    assert refused.value.where == "vibration.py:7"
    assert refused.value.fix == "use one of x, y, z"


def test_an_unknown_function_is_refused() -> None:
    """The catalogue's error comes out of the plan."""
    with pytest.raises(DefinitionError, match="kurtossis"):
        TilePlan.of(replace(VIEW, features=(feature("x", "kurtossis"),)))


def test_blocks_of_every_length_rate_and_type_share_a_batch() -> None:
    """Each block's tile has the bits it has alone, in the order of the blocks."""
    plan = TilePlan.of(VIEW)
    kinds = [
        blocks(),
        blocks(16, dtype="f4"),
        blocks(64, 128.0, shaft_hz=30.0, bearing="9,0.3126,1.537,0"),
        blocks(64, 128.0, seed=1, shaft_hz=25.0, bearing="8,0.235,1.245,0", full_scale=1.0),
        blocks(1, 1.0),
    ]
    mixed = pa.concat_tables(kinds).take(np.random.default_rng(1).permutation(15))

    together = plan.prepare(mixed)
    alone = np.concatenate([plan.prepare(mixed.slice(i, 1)) for i in range(15)])

    assert together.shape == (15, plan.width)
    np.testing.assert_array_equal(together.view(np.int64), alone.view(np.int64))
    batch = mixed.combine_chunks().to_batches()[0]
    np.testing.assert_array_equal(plan.prepare(batch).view(np.int64), together.view(np.int64))


def test_no_blocks_make_no_tiles() -> None:
    """An empty batch keeps its width."""
    plan = TilePlan.of(VIEW)

    assert plan.prepare(blocks().slice(0, 0)).shape == (0, plan.width)


def test_a_fold_goes_from_left_to_right_run_by_run() -> None:
    """Runs of any lengths at once have the bits of one merge after another."""
    plan = TilePlan.of(VIEW)
    tiles = np.concatenate([plan.prepare(blocks(seed=seed)) for seed in range(4)])
    starts, stops = np.array([0, 3, 4, 5]), np.array([3, 4, 12, 6])

    folded = plan.fold(tiles, starts, stops)

    for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        expected = tiles[start]
        for tile in tiles[start + 1 : stop]:
            expected = plan.merge(expected, tile)
        np.testing.assert_array_equal(folded[row].view(np.int64), expected.view(np.int64))


def test_windows_hold_the_tiles_in_their_reach_across_gaps() -> None:
    """Open on the left: a tile exactly one window before the tick is outside; absent minutes are skipped."""
    plan = TilePlan.of(replace(VIEW, features=tuple(feature("x", "count", minutes) for minutes in (1, 2, 5))))
    ends = np.array([1, 2, 4, 6, 7]) * MINUTE
    tiles = np.concatenate([plan.prepare(blocks(seed=s)) for s in (0, 1)])[:5]

    values = plan.finish(plan.windows(ends, tiles, np.arange(5)))

    counts = [[((ends > tick - w * MINUTE) & (ends <= tick)).sum() * 64 for w in (1, 2, 5)] for tick in ends]
    assert values.tolist() == counts


def test_finish_gives_nan_where_a_value_is_undefined_and_never_infinity() -> None:
    """A constant channel has no kurtosis; nothing measured has no mean."""
    plan = TilePlan.of(replace(VIEW, features=(feature("x", "kurtosis"), feature("y", "mean"), feature("z", "std"))))
    samples = np.stack([np.full(8, 0.1), np.full(8, np.nan), np.full(8, 1e300) * np.tile([1, -1], 4)])[None]
    tiles = plan.prepare(blocks_table(asset_id="a", starts_us=[0], samples=samples, rate_hz=8.0, dtype="f8"))

    values = plan.finish({MINUTE: tiles})[0]

    assert np.isnan(values).tolist()[:2] == [True, True]
    assert not np.isinf(values).any()


def test_orders_follow_the_bearing_fitted() -> None:
    """One row a block: BPFO, BPFI, BSF, FTF in turns of the shaft, NaN where no bearing is known."""
    orders = bearing_orders(["9,0.3126,1.537,0", None, "9,0.3126,1.537,0"])

    assert [round(order, 4) for order in orders[0]] == [3.5848, 5.4152, 2.3567, 0.3983]
    assert np.isnan(orders[1]).all()
    np.testing.assert_array_equal(orders[2], orders[0])
    assert bearing_orders([]).shape == (0, 4)
