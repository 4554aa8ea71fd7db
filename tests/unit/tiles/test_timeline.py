"""One entity's history: which rows its blocks make, when each is known, and that old state goes without a trace."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.tiles.plan import TilePlan
from lineshaft.tiles.timeline import TOO_LATE, BlockTile, Emitted, Timeline

MINUTE = 60_000_000
GRACE = 5_000_000
FOREVER = 2**61
VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(
        Feature(name=f"{function}_{minutes}", column="x", function=function, window_us=minutes * MINUTE)
        for function, minutes in (("mean", 1), ("mean", 3), ("count", 3))
    ),
    grace_us=GRACE,
    lateness_us=10 * MINUTE,
)
PLAN = TilePlan.of(VIEW)


def tile(plan: TilePlan, value: float) -> Any:
    """Return the tile of one sample."""
    table = blocks_table(asset_id="a", starts_us=[0], samples=np.full((1, 1, 1), value), rate_hz=1.0, dtype="f8")
    return plan.prepare(table)[0]


def block(end_us: int, value: float = 1.0, *, delay_us: int = 0, sequence: int = 0, plan: TilePlan = PLAN) -> BlockTile:
    """Return a second that ends at `end_us`, known `delay_us` later."""
    return BlockTile(
        start_us=end_us - 1_000_000,
        end_us=end_us,
        sequence=sequence,
        known_us=end_us + delay_us,
        tile=tile(plan, value),
    )


def listed(rows: Emitted) -> list[tuple[int, int, list[float]]]:
    """Return (tick in minutes, known time, values) of rows."""
    return [
        (int(t) // MINUTE, int(k), v.tolist()) for t, k, v in zip(rows.tick_us, rows.known_us, rows.values, strict=True)
    ]


def run(*blocks: BlockTile, plan: TilePlan = PLAN) -> list[tuple[int, int, list[float]]]:
    """Return every row that blocks make."""
    timeline = Timeline(plan)
    assert {timeline.add(one) for one in blocks} <= {None}
    return listed(timeline.advance(FOREVER))


def test_a_tick_is_answered_a_grace_after_it_once() -> None:
    """Not a microsecond before, and not again."""
    timeline = Timeline(PLAN)
    timeline.add(block(30_000_000, 4.0))
    due = MINUTE + GRACE

    assert timeline.next_due_us() == due
    assert listed(timeline.advance(due - 1)) == []
    assert listed(timeline.advance(due)) == [(1, due, [4.0, 4.0, 1.0])]
    assert listed(timeline.advance(FOREVER)) == []
    assert timeline.next_due_us() is None


@pytest.mark.parametrize(("end_us", "tick"), [(1, 1), (MINUTE, 1), (MINUTE + 1, 2), (-1, 0), (0, 0), (-MINUTE, -1)])
def test_a_block_belongs_to_the_tile_that_holds_its_end(end_us: int, tick: int) -> None:
    """A tile is open on the left and closed on the right, before 1970 too."""
    assert [row[0] for row in run(block(end_us))] == [tick]


def test_a_window_is_open_on_the_left_and_closed_on_the_right() -> None:
    """The tile that ends three minutes before is outside a window of three minutes."""
    rows = run(*(block(minute * MINUTE, float(minute)) for minute in range(1, 6)))

    assert [values for _, _, values in rows] == [[1, 1, 1], [2, 1.5, 2], [3, 2, 3], [4, 3, 3], [5, 4, 3]]


def test_a_gap_makes_no_rows() -> None:
    """Ticks without data are not answered; what follows sees only what lies in its windows."""
    rows = run(block(MINUTE, 1.0), block(100 * MINUTE, 7.0))

    assert [(tick, values) for tick, _, values in rows] == [(1, [1, 1, 1]), (100, [7, 7, 1])]


@pytest.mark.parametrize(
    ("delay_us", "known_us"),
    [
        (0, MINUTE + GRACE),
        (GRACE, MINUTE + GRACE),
        (GRACE + 1, 2 * MINUTE + GRACE),
        (MINUTE + GRACE, 2 * MINUTE + GRACE),
        (10 * MINUTE, 11 * MINUTE + GRACE),
    ],
)
def test_what_comes_late_is_known_at_the_next_point_of_the_grid(delay_us: int, known_us: int) -> None:
    """A block received on a grid point counts at it; a microsecond later it waits for the next."""
    assert [known for _, known, _ in run(block(MINUTE, delay_us=delay_us))] == [known_us]


def test_a_block_is_refused_a_microsecond_after_the_allowed_lateness() -> None:
    """The bound itself is allowed; what is refused leaves no state."""
    timeline = Timeline(PLAN)

    assert timeline.add(block(MINUTE, delay_us=VIEW.lateness_us)) is None
    assert timeline.add(block(MINUTE, sequence=1, delay_us=VIEW.lateness_us + 1)) == TOO_LATE
    assert [values[2] for _, _, values in listed(timeline.advance(FOREVER))] == [1.0]


def test_a_late_block_corrects_every_tick_whose_windows_hold_it_and_no_other() -> None:
    """Received in minute 6, a block of minute 2 corrects ticks 2, 3 and 4 at one known time."""
    on_time = [block(minute * MINUTE, 1.0) for minute in range(1, 7)]
    rows = run(*on_time, block(2 * MINUTE - 1, 3.0, delay_us=4 * MINUTE - 30_000_000))

    corrected = [(tick, known, values) for tick, known, values in rows if known != tick * MINUTE + GRACE]
    known = 6 * MINUTE + GRACE
    assert corrected == [(2, known, [2.0, 1 + 2 / 3, 3.0]), (3, known, [1.0, 1.5, 4.0]), (4, known, [1.0, 1.5, 4.0])]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_blocks_under_one_key_the_newest_wins_in_any_order(order: tuple[int, ...]) -> None:
    """Known later wins; known at the same time the larger bytes; a tile like the one held changes nothing."""
    blocks = [block(MINUTE, 1.0, delay_us=2), block(MINUTE, 2.0, delay_us=1), block(MINUTE, 1.0, delay_us=3)]
    rivals = [block(MINUTE, 1.0), block(MINUTE, 2.0), block(MINUTE, 3.0)]

    assert run(*(blocks[i] for i in order)) == [(1, MINUTE + GRACE, [1.0, 1.0, 1.0])]
    assert run(*(rivals[i] for i in order)) == [(1, MINUTE + GRACE, [1.0, 1.0, 1.0])]


def test_a_block_after_its_time_was_answered_is_counted_and_not_lost() -> None:
    """Where a job advanced too far, the row comes at the next point of the grid, and `disordered` says so."""
    timeline = Timeline(PLAN)
    timeline.advance(5 * MINUTE)
    timeline.add(block(MINUTE, 2.0))

    assert listed(timeline.advance(FOREVER)) == [(1, 5 * MINUTE + GRACE, [2.0, 2.0, 1.0])]
    assert timeline.disordered == 1


def test_old_tiles_are_forgotten_and_no_row_notices() -> None:
    """Over ten hours with late blocks, stepwise with eviction gives the rows of one go, from bounded state."""
    rng = np.random.default_rng(5)
    blocks = [
        block(i * MINUTE, float(rng.integers(9)), delay_us=int(rng.choice([0, 0, 0, 3 * MINUTE, 10 * MINUTE])))
        for i in range(1, 600)
    ]
    stepwise, rows, largest = Timeline(PLAN), [], 0
    held: dict[int, bytes] = {}
    for one in sorted(blocks, key=lambda b: b.known_us):
        stepwise.add(one)
        rows += listed(stepwise.advance(one.known_us))
        for end, data in stepwise.take_changes().items():
            held.pop(end, None) if data is None else held.__setitem__(end, data)
        largest = max(largest, len(held))
    rows += listed(stepwise.advance(FOREVER))

    assert sorted(rows) == sorted(run(*blocks))
    assert largest < 40


def test_the_baseline_outlives_eviction() -> None:
    """The first tiles of an entity are what its thousandth row is compared with."""
    feature = Feature(name="drift", column="x", function="deviation_from_baseline[3]", window_us=MINUTE)
    plan = TilePlan.of(replace(VIEW, features=(feature,)))
    timeline, rows = Timeline(plan), []
    for minute in range(1, 300):
        timeline.add(block(minute * MINUTE, float(minute), plan=plan))
        rows += listed(timeline.advance(minute * MINUTE + GRACE))

    values = [value for _, _, (value,) in rows]
    assert np.isnan(values[:2]).all()
    assert values[2:] == [minute - 2.0 for minute in range(3, 300)]


def test_a_restored_timeline_holds_what_waits_and_what_was_answered() -> None:
    """From its buckets' bytes it goes on where it was: what waited is due, what was answered is not repeated."""
    timeline = Timeline(PLAN)
    for one in (block(MINUTE, 1.0), block(2 * MINUTE, 2.0), block(MINUTE, 5.0, sequence=1, delay_us=5 * MINUTE)):
        timeline.add(one)
    timeline.advance(2 * MINUTE + GRACE)
    buckets = [data for data in timeline.take_changes().values() if data is not None]

    restored = Timeline.restore(PLAN, timeline.done_us, buckets)

    assert timeline.take_changes() == {}
    assert restored.next_due_us() == timeline.next_due_us() == 6 * MINUTE + GRACE
    assert listed(restored.advance(FOREVER)) == listed(timeline.advance(FOREVER))
