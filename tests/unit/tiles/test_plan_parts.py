"""The parts of a plan: bytes cut out of Arrow without a copy, tiles cut by aggregator, batches that fit a cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.tiles.moments import Moments
from lineshaft.tiles.plan import BATCH, Segment, TilePlan, bearing_orders, payload_views

MINUTE = 60_000_000


def view(*features: tuple[str, str, int], channels: tuple[str, ...] = ("x", "y")) -> View:
    """Return a view of (column, function, minutes)."""
    return View(
        name="v",
        source=Source(name="s", channels=channels, units=("g",) * len(channels)),
        entity_keys=(("asset_id", "string"),),
        features=tuple(
            Feature(name=f"{column}_{function}_{minutes}", column=column, function=function, window_us=minutes * MINUTE)
            for column, function, minutes in features
        ),
    )


def blocks(samples: np.ndarray, **more: Any) -> pa.Table:
    """Return blocks of (blocks, channels, n), a second apart."""
    starts = np.arange(len(samples)) * 1_000_000
    return blocks_table(asset_id="a", starts_us=starts, samples=samples, rate_hz=10.0, dtype="f8", **more)


payloads = st.lists(st.one_of(st.none(), st.binary(max_size=9)), max_size=12)


@settings(max_examples=50, deadline=None)
@given(chunks=st.lists(payloads, max_size=4), kind=st.sampled_from([pa.binary(), pa.large_binary()]), data=st.data())
def test_payloads_are_those_of_the_column_however_it_is_cut(
    chunks: list[list[bytes | None]], kind: pa.DataType, data: st.DataObject
) -> None:
    """Chunks, slices and nulls: each view holds the bytes that Arrow itself reads, a null none."""
    column = pa.chunked_array(chunks, type=kind)
    offset = data.draw(st.integers(0, len(column)))
    cut = column.slice(offset, data.draw(st.integers(0, len(column))))

    found = [bytes(view) for view in payload_views(cut)]

    assert found == [value or b"" for value in cut.to_pylist()]


def test_payloads_of_a_plain_array_are_read_without_a_copy() -> None:
    """An array that is no chunked one works too, and the views share its memory."""
    array = pa.array([b"abc", b"", b"de"], pa.binary())

    views = payload_views(array.slice(1))

    assert [bytes(part) for part in views] == [b"", b"de"]
    assert np.frombuffer(views[1], np.uint8).ctypes.data == array.buffers()[2].address + 3


def test_nulls_are_empty_whether_or_not_there_are_bytes() -> None:
    """A column of nothing but nulls has no bytes to cut; an empty one has no views."""
    assert payload_views(pa.chunked_array([], pa.binary())) == []
    assert [bytes(part) for part in payload_views(pa.nulls(2, pa.binary()))] == [b"", b""]


def test_a_segment_is_cut_out_as_channels_by_width() -> None:
    """Numbers of one channel lie together; the cut is a view, so writing through it writes the tile."""
    segment = Segment(aggregator=Moments(), channels=(1, 4), start=3, width=5)
    tiles = np.arange(2 * 15, dtype=float).reshape(2, 15)

    cut = segment.cut(tiles)

    assert cut.shape == (2, 2, 5)
    assert cut[1, 0].tolist() == [18, 19, 20, 21, 22]
    assert cut[1, 1].tolist() == [23, 24, 25, 26, 27]
    cut[0, 1, 4] = -1.0
    assert tiles[0, 12] == -1.0
    assert segment.cut(tiles[0]).shape == (2, 5)


@pytest.mark.parametrize("length", [BATCH // 2 - 1, BATCH // 2, BATCH // 2 + 1, BATCH, BATCH + 1])
def test_blocks_around_the_size_of_a_batch_are_each_summarised_once(length: int) -> None:
    """Whether two, one or no whole block fit into a batch, five of them come out in their own rows."""
    plan = TilePlan.of(view(("x", "mean", 1), ("x", "max", 1), channels=("x",)))
    samples = np.zeros((5, 1, length)) + np.arange(5)[:, None, None]
    samples[:, 0, -1] += 1.0

    tiles = plan.prepare(blocks(samples))

    values = plan.finish({MINUTE: tiles})
    np.testing.assert_allclose(values[:, 0], np.arange(5) + 1.0 / length, rtol=1e-12)
    assert values[:, 1].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_channels_are_cut_out_of_the_payload_in_their_order() -> None:
    """Channel-major: the second channel's samples follow the first's, in float32 as in float64."""
    samples = np.array([[[1.0, 2.0, 3.0], [10.0, 20.0, 60.0]]])
    plan = TilePlan.of(view(("y", "mean", 1), ("x", "mean", 1), ("y", "last", 1)))

    for dtype in ("f4", "f8"):
        table = blocks_table(asset_id="a", starts_us=[0], samples=samples, rate_hz=1.0, dtype=dtype)
        assert plan.finish({MINUTE: plan.prepare(table)}).tolist() == [[30.0, 2.0, 60.0]]


def test_what_comes_with_a_block_reaches_its_own_row() -> None:
    """Full scale and start differ from block to block; each tile is made with its own."""
    plan = TilePlan.of(view(("x", "clipped_ratio", 1), ("x", "first", 1), channels=("x",)))
    samples = np.array([[[1.0, 2.0]], [[1.0, 2.0]], [[1.0, 2.0]]])

    tiles = plan.prepare(blocks(samples, full_scale=[2.0, 1.0, None]))

    assert plan.finish({MINUTE: tiles})[:, 0].tolist() == [0.5, 1.0, 0.0]
    edges = next(segment for segment in plan.segments if segment.aggregator.key == "edges")
    assert edges.cut(tiles)[:, 0, 0].tolist() == [0.0, 1_000_000.0, 2_000_000.0]


def test_each_feature_is_finished_with_its_own_window() -> None:
    """Coverage is seconds measured over seconds of that window, in the features' order."""
    plan = TilePlan.of(view(("x", "coverage", 2), ("x", "coverage", 1), ("x", "coverage", 4), channels=("x",)))
    tiles = plan.prepare(blocks(np.ones((1, 1, 300))))  # 30 s at 10 Hz

    values = plan.finish({minutes * MINUTE: tiles for minutes in (1, 2, 4)})

    assert values.tolist() == [[0.25, 0.5, 0.125]]


def test_windows_reach_back_over_any_number_of_tiles() -> None:
    """Asked for some ticks only, each gets the counts of its windows: one merge too many or too few shows."""
    plan = TilePlan.of(view(("x", "count", 1), ("x", "count", 3), ("x", "count", 7), channels=("x",)))
    ends = np.array([1, 2, 3, 5, 8, 9, 10, 30]) * MINUTE
    tiles = np.concatenate([plan.prepare(blocks(np.ones((1, 1, 1 + i)))) for i in range(8)])
    ticks = np.array([7, 0, 4, 6])

    values = plan.finish(plan.windows(ends, tiles, ticks))

    sizes = 1 + np.arange(8)
    expected = [
        [sizes[(ends > ends[t] - w * MINUTE) & (ends <= ends[t])].sum() for w in (1, 3, 7)] for t in ticks.tolist()
    ]
    assert values.tolist() == expected


def test_folding_and_windowing_leave_the_tiles_as_they_were() -> None:
    """Both work on copies: the tiles of a timeline are read again and again."""
    plan = TilePlan.of(view(("x", "mean", 1), ("x", "std", 2), channels=("x",)))
    tiles = plan.prepare(blocks(np.random.default_rng(0).normal(size=(4, 1, 5))))
    before = tiles.copy()

    plan.fold(tiles, np.array([0, 1]), np.array([4, 3]))
    plan.windows(np.arange(1, 5) * MINUTE, tiles, np.arange(4))

    np.testing.assert_array_equal(tiles, before)


def test_the_longest_baseline_of_any_feature_is_kept() -> None:
    """The plan keeps as many first tiles as its features ask for, none where none asks."""
    based = view(("x", "deviation_from_baseline[4]", 1), ("y", "deviation_from_baseline[9]", 1), ("x", "mean", 1))

    assert TilePlan.of(based).baseline_tiles == 9
    assert TilePlan.of(view(("x", "mean", 1))).baseline_tiles == 0


def test_an_error_without_a_place_names_the_view() -> None:
    """A view built by hand has no file; its own name says where."""
    with pytest.raises(InputError, match="feature 'q_mean_1' reads 'q'") as refused:
        TilePlan.of(replace(view(("q", "mean", 1)), where=""))

    assert refused.value.where == "v"


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("8,0.235,1.245,0", (3.245, 4.755, 2.55435, 0.405622)),  # MFPT's NICE bearing: its description prints them
        ("9,0.3126,1.537,0", (3.5848, 5.4152, 2.3567, 0.39828)),  # SKF 6205-2RS: CWRU bearing data center
    ],
)
def test_orders_are_the_printed_ones(text: str, orders: tuple[float, ...]) -> None:
    """BPFO, BPFI, BSF and FTF of two bearings, in this order, one row a block."""
    rows = bearing_orders([None, text])

    assert np.isnan(rows[0]).all()
    np.testing.assert_allclose(rows[1], orders, rtol=3e-4)
