"""One entity inside the job, and what travels to it, without Flink: nothing is lost between batch, bytes and rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import CorruptError
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.testing import compare_rows, oracle_rows
from lineshaft.tiles.rows import rows_table
from lineshaft.tiles.timeline import Emitted
from lineshaft_flink.entity import Entity, first_due_us
from lineshaft_flink.packing import ROWS_PER_ELEMENT, RowBatch, TiledBlocks, packed_key
from lineshaft_flink.tiling import Tiling
from lineshaft_flink.wire import pack_block, unpack_block, unpack_blocks

MINUTE = 60_000_000
BASE = 1_700_000_040_000_000  # a whole minute
FAST = View(
    name="fast",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="mean_1m", column="x", function="mean", window_us=MINUTE),),
    grace_us=1_000_000,
    lateness_us=2 * MINUTE,
)
SLOW = replace(
    FAST,
    name="slow",
    features=(Feature(name="max_4m", column="x", function="max", window_us=4 * MINUTE),),
    tile_us=2 * MINUTE,
    grace_us=7_000_000,
    lateness_us=9 * MINUTE,
)
VIEWS = (FAST, SLOW)


def blocks(*rows: tuple[int, float, int]) -> pa.Table:
    """Return blocks of one second of (second of the end, value, delay in seconds)."""
    ends = BASE + np.array([row[0] for row in rows], dtype=np.int64) * 1_000_000
    return blocks_table(
        asset_id="a",
        starts_us=ends - 1_000_000,
        samples=np.array([row[1] for row in rows], dtype=float).reshape(-1, 1, 1),
        rate_hz=1.0,
        dtype="f8",
        known_us=ends + np.array([row[2] for row in rows], dtype=np.int64) * 1_000_000,
    )


def tiled(tiling: Tiling, table: pa.Table) -> TiledBlocks:
    """Return the one element a table of one asset makes."""
    (element,) = tiling.elements(table)
    return TiledBlocks.from_bytes(element)


def as_table(view: View, batches: list[RowBatch]) -> pa.Table:
    """Return row batches as feature rows."""
    tables = [
        rows_table(view, {"asset_id": "a"}, Emitted(tick_us=b.tick_us, known_us=b.known_us, values=b.values))
        for b in map(RowBatch.from_bytes, [batch.to_bytes() for batch in batches])
    ]
    return pa.concat_tables(tables) if tables else oracle_rows(view, blocks((1, 1.0, 0)).slice(0, 0))


arrivals = st.lists(
    st.tuples(st.integers(1, 600), st.sampled_from([1.0, -2.0, 5.5]), st.sampled_from([0, 0, 1, 61, 120, 121, 600])),
    min_size=1,
    max_size=20,
)


@settings(max_examples=30, deadline=None)
@given(rows=arrivals, steps=st.sets(st.integers(0, 30), max_size=4))
def test_two_views_of_one_feed_have_the_oracles_rows_though_rebuilt_on_the_way(
    rows: list[tuple[int, float, int]], steps: set[int]
) -> None:
    """Each view with its own tiles, grace and lateness, through bytes, stored and restored after every batch."""
    tiling, table = Tiling(VIEWS), blocks(*rows)
    entity, held = Entity(tiling.plans), dict[str, bytes]()
    found: dict[str, list[RowBatch]] = {view.ref: [] for view in VIEWS}
    refused = 0
    known = table["known_us"].to_numpy()
    times, before = [*(BASE + step * MINUTE for step in sorted(steps)), 2**61], -(2**62)
    for now in times:
        due = table.filter(pa.array((known > before) & (known <= now)))
        if due.num_rows:
            refused += len(entity.add(tiled(tiling, due)))
        for ref, batch in entity.advance(now, after_us=-(2**62)).items():
            found[ref].append(batch)
        for name, data in entity.changes().items():
            held.pop(name, None) if data is None else held.__setitem__(name, data)
        entity, before = Entity.restore(tiling.plans, now, held.items()), now

    for view in VIEWS:
        assert compare_rows(view, as_table(view, found[view.ref]), oracle_rows(view, table)).equal
    delays = table["known_us"].to_numpy() - table["start_us"].to_numpy() - 1_000_000
    assert refused == sum(int((delays > view.lateness_us).sum()) for view in VIEWS)


def test_a_refused_block_is_told_with_the_view_that_refused_it() -> None:
    """Three minutes late is too late for the fast view and in time for the slow one."""
    tiling = Tiling(VIEWS)
    entity = Entity(tiling.plans)

    (refused,) = entity.add(tiled(tiling, blocks((30, 1.0, 180))))

    assert (refused.view, refused.reason) == (FAST.ref, "too_late")
    assert (refused.start_us, refused.known_us) == (BASE + 29_000_000, BASE + 210_000_000)
    assert set(entity.advance(2**61, after_us=0)) == {SLOW.ref}


@settings(max_examples=40, deadline=None)
@given(rows=arrivals)
def test_rows_are_first_due_when_the_timelines_say_so(rows: list[tuple[int, float, int]]) -> None:
    """The job sets its timer by the packed times alone: it is what the entity finds due once it has the blocks."""
    in_time = [row for row in rows if row[2] <= 120]
    tiling = Tiling(VIEWS)
    if not in_time:
        return
    element = tiled(tiling, blocks(*in_time))
    entity = Entity(tiling.plans)
    entity.add(element)

    assert first_due_us(tiling.plans, element) == entity.next_due_us()


def test_rows_known_before_a_backfills_cut_are_not_emitted_again() -> None:
    """`after_us` itself belongs to the backfill; what is known a moment later to the stream."""
    tiling = Tiling([FAST])
    cut = BASE + 2 * MINUTE + FAST.grace_us
    found = []
    for after_us in (cut - 1, cut, cut + 1):
        entity = Entity(tiling.plans)
        entity.add(tiled(tiling, blocks((30, 1.0, 0), (90, 2.0, 0), (150, 3.0, 0))))
        found.append(entity.advance(2**61, after_us=after_us)[FAST.ref].values[:, 0].tolist())

    assert found == [[2.0, 3.0], [3.0], [3.0]]


def test_a_view_without_rows_is_left_out_and_nothing_is_due_of_nothing() -> None:
    """No blocks, no timer, no rows, no state."""
    tiling = Tiling(VIEWS)
    entity = Entity(tiling.plans)

    assert (entity.next_due_us(), entity.advance(2**61, after_us=0), dict(entity.changes())) == (None, {}, {})
    assert entity.disordered == 0


def test_buckets_are_named_by_view_and_tile() -> None:
    """One block lies in a tile of each view; counts of disorder add up over the views."""
    tiling = Tiling(VIEWS)
    entity = Entity(tiling.plans)
    entity.add(tiled(tiling, blocks((30, 1.0, 0))))

    slow_end = -(-(BASE + 30_000_000) // SLOW.tile_us) * SLOW.tile_us
    assert set(entity.changes()) == {f"0:{BASE + MINUTE}", f"1:{slow_end}"}
    entity.advance(BASE + 10 * MINUTE, after_us=0)
    entity.add(tiled(tiling, blocks((31, 1.0, 0))))
    assert entity.disordered == 2


@pytest.mark.parametrize("rows", [0, 1, ROWS_PER_ELEMENT, ROWS_PER_ELEMENT + 1])
def test_rows_are_cut_into_elements_and_nothing_is_lost(rows: int) -> None:
    """At most so many a piece, in order; an empty batch has none; NaN keeps its bits."""
    values = np.arange(2.0 * rows).reshape(rows, 2)
    values[::2, 0] = np.nan
    batch = RowBatch(tick_us=np.arange(rows), known_us=np.arange(rows) + 5, values=values)

    back = [RowBatch.from_bytes(part.to_bytes()) for part in batch.chunks()]

    assert len(back) == -(-rows // ROWS_PER_ELEMENT)
    assert sum(map(len, back)) == rows
    if rows:
        assert np.concatenate([part.values for part in back]).tobytes() == values.tobytes()
        assert np.concatenate([part.known_us for part in back]).tolist() == batch.known_us.tolist()
        assert len(batch.newest()) == 1


ROWS = RowBatch(tick_us=np.arange(2), known_us=np.arange(2), values=np.ones((2, 1))).to_bytes()
TILES = TiledBlocks(
    key="[]",
    times=np.zeros((5, 2), np.int64),
    tiles=np.ones((2, 3)),
    rejects=[("a", "", 1, 2, "r")],
).to_bytes()


@pytest.mark.parametrize(("kind", "packed"), [(RowBatch, ROWS), (TiledBlocks, TILES)], ids=["rows", "tiles"])
def test_bytes_cut_off_anywhere_or_added_to_are_no_element(kind: Any, packed: bytes) -> None:
    """A head that is not whole, a body short of a byte, a byte too many: an error of ours, never a shorter element."""
    for wrong in (*(packed[:size] for size in range(len(packed))), packed + b"x"):
        with pytest.raises(CorruptError):
            kind.from_bytes(wrong)
    assert kind.from_bytes(packed).to_bytes() == packed


def test_the_key_is_read_without_the_rest() -> None:
    """Keys of any script survive, and are read before anything else is unpacked."""
    element = TiledBlocks(
        key='["Prüfstand 7", "ⵣ"]',
        times=np.zeros((5, 0), np.int64),
        tiles=np.zeros((0, 3)),
        rejects=[("a", "b", 1, 2, "bad_rate")],
    ).to_bytes()

    assert packed_key(element) == '["Prüfstand 7", "ⵣ"]' == TiledBlocks.from_bytes(element).key
    assert TiledBlocks.from_bytes(element).rejects == [("a", "b", 1, 2, "bad_rate")]


texts = st.text(max_size=12)
wire_blocks = st.fixed_dictionaries(
    {
        "asset_id": texts.filter(bool),
        "position": texts,
        "start_us": st.integers(-(2**63), 2**63 - 1),
        "known_us": st.integers(-(2**63), 2**63 - 1),
        "sequence": st.integers(0, 2**31),
        "rate_hz": st.floats(allow_nan=False),
        "dtype": st.sampled_from(["f4", "f8", "i2"]),
        "payload": st.binary(max_size=40),
        "shaft_hz": st.one_of(st.none(), st.floats(allow_nan=False)),
        "bearing": st.one_of(st.none(), texts.filter(bool)),
        "full_scale": st.one_of(st.none(), st.floats(allow_nan=False)),
    }
)


@given(block=wire_blocks)
def test_a_block_comes_through_the_wire_as_it_went_in(block: dict[str, Any]) -> None:
    """Every text, time, number and byte, nulls included."""
    assert unpack_block(pack_block(block)) == block


@given(block=wire_blocks, cut=st.integers(0, 71))
def test_a_record_cut_off_in_its_head_is_no_block(block: dict[str, Any], cut: int) -> None:
    """It becomes a row that says so, beside those that can be read."""
    packed = pack_block(block)
    head = packed[: min(cut, 59)]

    assert unpack_block(head) is None
    rows = unpack_blocks([head, packed, None]).to_pylist()
    assert [row["asset_id"] for row in rows] == ["unreadable record", block["asset_id"], "unreadable record"]
    assert rows[1]["payload"] == block["payload"]


def test_bytes_of_another_kind_are_no_block() -> None:
    """A wrong mark, or text that is no UTF-8."""
    good = pack_block(blocks((1, 1.0, 0)).to_pylist()[0])

    assert unpack_block(b"LSB2" + good[4:]) is None
    assert unpack_block(good.replace(b"a", b"\xff", 1)) is None
