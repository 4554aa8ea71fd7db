"""What a backfill would cost follows from what is there and how fast the last one was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lineshaft.ops.jobs import JobResult
from lineshaft.ops.pace import Costs, note_pace
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Source, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.memory_offline import MemoryOfflineStore

SOURCE = Source(name="readings", channels=("temperature",), units=("degC",))
VIEW = View(name="heat", source=SOURCE, entity_keys=(("asset_id", "string"),), features=())


@pytest.mark.parametrize("kind", ["memory", "delta"])
def test_a_cost_is_what_is_there_at_the_pace_that_was_measured(tmp_path: Path, kind: str) -> None:
    """Nothing there, never measured, measured; a run of no blocks, and a note cut off, say nothing."""
    store = MemoryOfflineStore() if kind == "memory" else DeltaOfflineStore(str(tmp_path / "offline"))

    def cost() -> str:
        return Costs(offline=store, folder=tmp_path).of(VIEW)

    assert cost() == "nothing of readings is there yet"
    starts = [0, 1_000_000, 2_000_000]
    blocks = blocks_table(asset_id="a", starts_us=starts, samples=np.ones((3, 1, 1)), rate_hz=1.0)
    store.write_blocks(SOURCE, blocks, batch="one")
    assert cost() == "3 blocks of readings; no backfill was measured here yet"
    note_pace(tmp_path, JobResult(blocks=100, seconds=200.0))
    assert cost() == "3 blocks of readings, about 6 s at the pace of the last backfill"
    note_pace(tmp_path, JobResult(blocks=0, seconds=9.0))
    assert "about 6 s" in cost()
    (tmp_path / "pace.json").write_text("{")
    assert cost().endswith("no backfill was measured here yet")
    rows = View(name="lab", source=Source(name="lab", channels=(), units=(), kind="rows"), entity_keys=(), features=())
    assert Costs(offline=store, folder=tmp_path).of(rows) == ""
