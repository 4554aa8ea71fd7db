"""What a timeline keeps: bytes to come back from, tiles until nothing can change them, and the first ones for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.tiles.plan import TilePlan
from lineshaft.tiles.timeline import OUT_OF_ORDER, TOO_LATE, BlockTile, Emitted, Timeline

MINUTE = 60_000_000
GRACE = 5_000_000
FOREVER = 2**61
VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(
        Feature(name="count_3m", column="x", function="count", window_us=3 * MINUTE),
        Feature(name="sum_like", column="x", function="mean", window_us=3 * MINUTE),
    ),
    grace_us=GRACE,
    lateness_us=4 * MINUTE,
)
PLAN = TilePlan.of(VIEW)
BASED = TilePlan.of(
    replace(
        VIEW,
        features=(Feature(name="drift", column="x", function="deviation_from_baseline[2]", window_us=2 * MINUTE),),
        lateness_us=60 * MINUTE,
    )
)


def tile(plan: TilePlan, value: float) -> Any:
    """Return the tile of one sample."""
    table = blocks_table(asset_id="a", starts_us=[0], samples=np.full((1, 1, 1), value), rate_hz=1.0, dtype="f8")
    return plan.prepare(table)[0]


def block(
    minute: int, value: float = 1.0, *, delay_us: int = 0, sequence: int = 0, lane: int = 0, plan: TilePlan = PLAN
) -> BlockTile:
    """Return a second that ends with a minute, known so much later."""
    end_us = minute * MINUTE
    return BlockTile(
        start_us=end_us - 1_000_000,
        end_us=end_us,
        sequence=sequence,
        known_us=end_us + delay_us,
        tile=tile(plan, value),
        lane=lane,
    )


def listed(rows: Emitted) -> list[tuple[int, int, list[float]]]:
    """Return (tick in minutes, known time, values) of rows."""
    columns = zip(rows.tick_us.tolist(), rows.known_us.tolist(), rows.values.tolist(), strict=True)
    return [(tick // MINUTE, known, values) for tick, known, values in columns]


def stored(timeline: Timeline, held: dict[int, bytes]) -> dict[int, bytes]:
    """Put a timeline's changes into what a job has stored."""
    for end, data in timeline.take_changes().items():
        if data is None:
            held.pop(end, None)
        else:
            held[end] = data
    return held


arrivals = st.lists(
    st.builds(
        block,
        st.integers(1, 14),
        st.sampled_from([1.0, 2.0, 7.0]),
        delay_us=st.sampled_from([0, 0, 0, GRACE, GRACE + 1, MINUTE, 3 * MINUTE, 4 * MINUTE, 4 * MINUTE + 1]),
        sequence=st.integers(0, 1),
        lane=st.sampled_from([0, 7]),
    ),
    max_size=24,
)


@pytest.mark.parametrize("plan", [PLAN, BASED], ids=["windows", "baseline"])
@settings(max_examples=100, deadline=None)
@given(data=st.data(), jumps=st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_blocks_in_any_order_make_right_rows_or_none(plan: TilePlan, data: st.DataObject, jumps: list[int]) -> None:
    """Time has run ahead of some blocks: what is not refused has the last version that order would have given it."""
    blocks = [block(minute, value, plan=plan) for minute, value in enumerate(range(1, 13), start=1)]
    mixed = data.draw(st.permutations(blocks))
    timeline, last, taken = Timeline(plan), dict[int, list[float]](), []
    for place, one in enumerate(mixed):
        if timeline.add(one) is None:
            taken.append(one)
        now = max(known.known_us for known in mixed[: place + 1]) + jumps[place % len(jumps)] * MINUTE
        last |= {tick: values for tick, _, values in listed(timeline.advance(now))}
    last |= {tick: values for tick, _, values in listed(timeline.advance(FOREVER))}

    ordered = Timeline(plan)
    assert all(ordered.add(one) is None for one in taken)
    expected = {tick: values for tick, _, values in listed(ordered.advance(FOREVER))}
    assert last.keys() == expected.keys()
    for tick, values in expected.items():
        np.testing.assert_array_equal(last[tick], values)


@settings(max_examples=60, deadline=None)
@given(blocks=arrivals, steps=st.sets(st.integers(0, 18), max_size=6))
def test_a_timeline_rebuilt_at_every_step_makes_the_rows_of_one_that_never_stopped(
    blocks: list[BlockTile], steps: set[int]
) -> None:
    """Stored, dropped and restored after each batch, it refuses the same blocks and emits the same bits."""
    whole, refused = Timeline(PLAN), 0
    for one in blocks:
        refused += whole.add(one) == TOO_LATE
    expected = listed(whole.advance(FOREVER))
    timeline, held, rows = Timeline(PLAN), dict[int, bytes](), []
    waiting = sorted(blocks, key=lambda one: one.known_us)

    for now in sorted({minute * MINUTE + GRACE for minute in steps} | {FOREVER}):
        due = [one for one in waiting if one.known_us <= now]
        waiting = waiting[len(due) :]
        refused -= sum(timeline.add(one) == TOO_LATE for one in due)
        rows += listed(timeline.advance(now))
        timeline = Timeline.restore(PLAN, timeline.done_us, stored(timeline, held).values())

    assert refused == 0
    assert sorted(rows) == sorted(expected)


@settings(max_examples=40, deadline=None)
@given(blocks=arrivals)
def test_rows_come_in_order_of_known_time_and_each_version_once(blocks: list[BlockTile]) -> None:
    """Known times never go back; no tick has two rows of one known time; none is known before its grace is over."""
    timeline = Timeline(PLAN)
    for one in blocks:
        timeline.add(one)

    rows = listed(timeline.advance(FOREVER))

    known = [row[1] for row in rows]
    assert known == sorted(known)
    assert len({row[:2] for row in rows}) == len(rows)
    assert all(at >= tick * MINUTE + GRACE and (at - GRACE) % MINUTE == 0 for tick, at, _ in rows)


def test_a_restored_timeline_remembers_how_far_it_had_answered() -> None:
    """A block whose time was over before the restore is answered after it, and counted as disordered."""
    timeline = Timeline(PLAN)
    timeline.add(block(5))
    timeline.advance(6 * MINUTE)
    restored = Timeline.restore(PLAN, timeline.done_us, stored(timeline, {}).values())

    restored.add(block(5, 3.0, sequence=1))

    assert restored.disordered == 1
    assert listed(restored.advance(FOREVER)) == [(5, 6 * MINUTE + GRACE, [2.0, 2.0])]


def test_bytes_do_not_depend_on_the_order_of_arrival() -> None:
    """What a job stores of applied blocks is the same however they came, so that a checkpoint can be compared."""
    blocks = [block(3, 1.0), block(3, 2.0, sequence=1), block(3, 4.0, lane=9), block(2, 8.0)]
    images = []
    for order in (blocks, blocks[::-1]):
        timeline = Timeline(PLAN)
        for one in order:
            timeline.add(one)
        timeline.advance(3 * MINUTE + GRACE)
        images.append(timeline.take_changes())

    assert images[0] == images[1]
    assert sorted(images[0]) == [2 * MINUTE, 3 * MINUTE]


def test_only_what_changed_is_stored_again() -> None:
    """Adding marks the tile, answering marks it, a repeat marks what it is taken out of; reading marks nothing."""
    timeline = Timeline(PLAN)
    timeline.add(block(1))
    timeline.add(block(2))
    assert set(timeline.take_changes()) == {MINUTE, 2 * MINUTE}

    timeline.advance(MINUTE + GRACE)
    assert set(timeline.take_changes()) == {MINUTE}
    timeline.advance(MINUTE + GRACE + 1)
    assert timeline.take_changes() == {}

    timeline.add(block(1, delay_us=2 * MINUTE))  # a repeat of what is held
    timeline.take_changes()
    assert [tick for tick, _, _ in listed(timeline.advance(FOREVER))] == [2]
    assert MINUTE in timeline.take_changes()


def test_a_repeat_leaves_the_state_as_if_it_had_not_come() -> None:
    """The bytes after a repeat are those before it."""
    timeline = Timeline(PLAN)
    timeline.add(block(1))
    timeline.advance(MINUTE + GRACE)
    before = timeline.take_changes()

    timeline.add(block(1, delay_us=2 * MINUTE))
    rows = listed(timeline.advance(4 * MINUTE))

    assert rows == []
    assert timeline.take_changes() == before


def test_what_waits_is_due_at_the_earliest_of_its_times() -> None:
    """The next due time falls to an earlier block's and rises as rows are given."""
    timeline = Timeline(PLAN)
    due = []
    for one in (block(9), block(4), block(6, delay_us=2 * MINUTE)):
        timeline.add(one)
        due.append(timeline.next_due_us())
    timeline.advance(4 * MINUTE + GRACE)
    due.append(timeline.next_due_us())
    timeline.advance(8 * MINUTE + GRACE)
    due.append(timeline.next_due_us())

    assert due == [minute * MINUTE + GRACE for minute in (9, 4, 4, 8, 9)]


def test_a_tile_is_held_as_long_as_the_latest_allowed_block_can_read_it_and_no_longer() -> None:
    """A block as late as allowed still finds its neighbours; a tile beyond two windows and the lateness is gone."""
    timeline, held = Timeline(PLAN), dict[int, bytes]()
    for minute in range(1, 12):
        timeline.add(block(minute))
        timeline.advance(minute * MINUTE + GRACE)
    stored(timeline, held)
    oldest = 11 * MINUTE - VIEW.lateness_us - 2 * 3 * MINUTE - MINUTE

    assert min(held) == MINUTE == oldest + MINUTE
    timeline.add(block(7, 3.0, sequence=1, delay_us=4 * MINUTE))
    corrected = listed(timeline.advance(11 * MINUTE + 2 * GRACE + MINUTE))
    assert [(tick, values) for tick, _, values in corrected] == [(tick, [4.0, 1.5]) for tick in (7, 8, 9)]
    timeline.add(block(12))
    timeline.advance(13 * MINUTE)
    assert min(stored(timeline, held)) == 2 * MINUTE


def test_a_block_that_comes_when_its_tiles_are_forgotten_is_refused() -> None:
    """A row made of what is left would have a later version than the right one, and be wrong."""
    timeline = Timeline(PLAN)
    timeline.add(block(1))
    timeline.add(block(2))
    timeline.advance(2 * MINUTE + GRACE)
    timeline.advance(500 * MINUTE)
    assert timeline.next_due_us() is None

    assert timeline.add(block(2, 3.0, sequence=1)) == OUT_OF_ORDER

    assert listed(timeline.advance(FOREVER)) == []
    assert timeline.disordered == 1


def test_a_late_block_in_the_baseline_corrects_every_tick_since() -> None:
    """The baseline is compared with for ever, so a change of it moves rows far beyond any window."""
    timeline = Timeline(BASED)
    for minute in range(1, 9):
        timeline.add(block(minute, float(minute), plan=BASED))
    first = listed(timeline.advance(8 * MINUTE + GRACE))
    timeline.add(block(2, 8.0, sequence=1, delay_us=10 * MINUTE, plan=BASED))  # baseline 1.5 becomes (1+2+8)/3

    corrected = listed(timeline.advance(FOREVER))

    assert [values for _, _, values in first[1:]] == [[tick - 0.5 - 1.5] for tick in range(2, 9)]
    assert np.isnan(first[0][2]).all()
    moved = 11 / 3
    means = {2: 11 / 3, 3: 13 / 3, **{tick: tick - 0.5 for tick in range(4, 9)}}
    assert [tick for tick, _, _ in corrected] == list(range(2, 9))
    for tick, known, (value,) in corrected:
        assert known == 12 * MINUTE + GRACE
        assert value == pytest.approx(means[tick] - moved)


def test_a_late_block_after_the_baseline_corrects_only_what_its_window_reaches() -> None:
    """The tile after the last of the baseline is an ordinary one."""
    timeline = Timeline(BASED)
    for minute in range(1, 9):
        timeline.add(block(minute, float(minute), plan=BASED))
    timeline.advance(8 * MINUTE + GRACE)
    timeline.add(block(3, 30.0, sequence=1, delay_us=10 * MINUTE, plan=BASED))

    assert [tick for tick, _, _ in listed(timeline.advance(FOREVER))] == [3, 4]


def test_an_older_tile_that_comes_late_becomes_the_first_of_the_baseline() -> None:
    """The first tiles are the earliest in event time, not the first received: later rows are compared anew."""
    timeline = Timeline(BASED)
    for minute in range(4, 8):
        timeline.add(block(minute, float(minute), plan=BASED))
    timeline.advance(7 * MINUTE + GRACE)
    timeline.add(block(1, 100.0, delay_us=10 * MINUTE, plan=BASED))

    rows = listed(timeline.advance(FOREVER))

    assert [tick for tick, _, _ in rows] == [1, 4, 5, 6, 7]
    assert np.isnan(rows[0][2]).all()
    assert [values[0] for _, _, values in rows[1:]] == [4 - 52.0, 4.5 - 52.0, 5.5 - 52.0, 6.5 - 52.0]


def test_an_empty_advance_has_a_column_for_each_feature() -> None:
    """Nothing due is zero rows of the right width, and time still moves on."""
    timeline = Timeline(PLAN)

    rows = timeline.advance(7)

    assert (rows.tick_us.shape, rows.known_us.shape, rows.values.shape) == ((0,), (0,), (0, 2))
    assert timeline.done_us == 7
    timeline.advance(3)
    assert timeline.done_us == 7
