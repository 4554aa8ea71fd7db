"""The stateless half of the job gives the engine's block tiles, whatever else lies in the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import DefinitionError
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.sources.checks import validate_blocks
from lineshaft.tiles.engine import block_tiles
from lineshaft.tiles.plan import TilePlan
from lineshaft_flink.packing import TiledBlocks
from lineshaft_flink.rehearsal import SOURCE, Rehearsal, rehearsal_view
from lineshaft_flink.tiling import Tiling, blocks_of
from lineshaft_flink.wire import pack_block, unpack_blocks

BLOCKS = Rehearsal(assets=3, minutes=2).blocks()


def unpacked(elements: list[bytes]) -> dict[str, TiledBlocks]:
    """Return elements by key."""
    return {blocks.key: blocks for blocks in map(TiledBlocks.from_bytes, elements)}


@pytest.mark.parametrize("keys", [("asset_id", "position"), ("asset_id",)])
def test_every_block_has_the_engines_tile_times_and_lane(keys: tuple[str, ...]) -> None:
    """For views keyed by asset and position, and by asset alone."""
    view = replace(rehearsal_view(), entity_keys=tuple((key, "string") for key in keys))
    good = validate_blocks(BLOCKS, SOURCE)[0]
    found = unpacked(Tiling([view]).elements(BLOCKS))
    places = dict.fromkeys(found, 0)
    for key, block in block_tiles(TilePlan.of(view), good):
        name = '["' + '", "'.join(key) + '"]'
        ours, at = found[name], places[name]
        places[name] += 1
        expected = [block.start_us, block.end_us, block.sequence, block.known_us, block.lane]
        assert ours.times[:, at].tolist() == expected
        assert ours.tiles[at].tobytes() == block.tile.tobytes()
    assert sum(places.values()) == good.num_rows


def test_refused_blocks_are_listed_once_and_heartbeats_vanish() -> None:
    """A batch of heartbeats alone makes no element; a batch of refused blocks alone makes one without blocks."""
    tiling = Tiling([rehearsal_view()])
    beat = heartbeat_block(source=SOURCE, end_us=1_700_000_000_000_000)
    assert tiling.elements(beat) == []
    good, bad = validate_blocks(BLOCKS, SOURCE)
    listed = [
        r for blocks in unpacked(tiling.elements(pa.concat_tables([BLOCKS, beat]))).values() for r in blocks.rejects
    ]
    assert len(listed) == bad.num_rows == BLOCKS.num_rows - good.num_rows > 0
    broken = BLOCKS.filter(pa.compute.equal(pa.compute.binary_length(BLOCKS["payload"]), 3))
    (only,) = unpacked(tiling.elements(broken)).values()
    assert only.times.shape == (5, 0)
    assert len(only.rejects) == broken.num_rows


def test_a_kernel_that_fails_on_one_block_costs_that_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others keep their tiles; the one is refused with the kernel's words."""
    tiling = Tiling([rehearsal_view()])
    good = validate_blocks(BLOCKS, SOURCE)[0]
    poison = good["start_us"][5].as_py(), good["asset_id"][5].as_py()
    prepare = TilePlan.prepare

    def failing(plan: TilePlan, blocks: pa.Table) -> Any:
        if poison in zip(blocks["start_us"].to_pylist(), blocks["asset_id"].to_pylist(), strict=True):
            raise FloatingPointError("no such number")
        return prepare(plan, blocks)

    monkeypatch.setattr(TilePlan, "prepare", failing)
    found = unpacked(tiling.elements(good)).values()
    poisoned = [
        row for row in zip(good["start_us"].to_pylist(), good["asset_id"].to_pylist(), strict=True) if row == poison
    ]
    rejects = [reject for blocks in found for reject in blocks.rejects]
    assert [reject[4] for reject in rejects] == ["kernel_failed: FloatingPointError: no such number"] * len(poisoned)
    assert sum(blocks.times.shape[1] for blocks in found) == good.num_rows - len(poisoned)


def test_views_of_other_keys_need_a_feed_of_their_own() -> None:
    """They would need elements of other entities."""
    other = replace(rehearsal_view("other"), entity_keys=(("asset_id", "string"),))
    with pytest.raises(DefinitionError):
        Tiling([rehearsal_view(), other])


def test_blocks_come_through_the_wire_and_through_pandas_as_they_were() -> None:
    """Both ways into the function give the same elements."""
    tiling = Tiling([rehearsal_view()])
    direct = tiling.elements(BLOCKS)
    assert tiling.elements(unpack_blocks([pack_block(block) for block in BLOCKS.to_pylist()])) == direct
    assert tiling.elements(blocks_of([column.to_pandas() for column in BLOCKS.columns])) == direct
    stray = unpacked(tiling.elements(unpack_blocks([b"LSB1", b"no block", None])))
    assert [len(blocks.rejects) for blocks in stray.values()] == [3]
    assert np.prod([blocks.times.shape[1] for blocks in stray.values()]) == 0
