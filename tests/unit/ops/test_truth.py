"""The oracle's rows do not depend on how many processes work, nor on how the blocks are read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.ops import truth as module
from lineshaft.ops.truth import oracles_of, truth
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.tiles.oracle import oracle_rows

MINUTE = 60_000_000
SOURCE = Source(name="s", channels=("x",), units=("g",))
FEATURE = Feature(name="x_std_3m", column="x", function="std", window_us=3 * MINUTE)
MACHINE = View(name="machine", source=SOURCE, entity_keys=(("asset_id", "string"),), features=(FEATURE,))
SENSOR = View(
    name="sensor", source=SOURCE, entity_keys=(("asset_id", "string"), ("position", "string")), features=(FEATURE,)
)


def stored(assets: int = 5) -> tuple[MemoryOfflineStore, pa.Table]:
    """Return a store with twenty blocks of each of some assets, at two positions, and those blocks."""
    rng = np.random.default_rng(1)
    rows = 20 * assets
    table = blocks_table(
        asset_id=[f"a{row % assets}" for row in range(rows)],
        position=[f"p{row % 2}" for row in range(rows)],
        starts_us=rng.integers(0, 30 * MINUTE, rows),
        samples=rng.normal(size=(rows, 1, 4)),
        rate_hz=4.0,
        dtype="f8",
        sequence=np.arange(rows),
    )
    offline = MemoryOfflineStore()
    for start in range(0, rows, 7):
        offline.write_blocks(SOURCE, table.slice(start, 7), batch=str(start))
    return offline, table


@pytest.mark.parametrize("view", [MACHINE, SENSOR], ids=lambda view: view.name)
@pytest.mark.parametrize("read_bytes", [1, 10**9], ids=["asset by asset", "all at once"])
def test_entity_by_entity_is_the_same_as_all_together(
    view: View, read_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the blocks are read and divided, the oracle says of them what it says of the whole table."""
    offline, table = stored()
    monkeypatch.setattr(module, "READ_BYTES", read_bytes)

    assert truth(view, offline).equals(oracle_rows(view, table))


def test_processes_change_nothing_and_every_block_is_told() -> None:
    """Two workers give the rows of one, for every view, and the last words name all blocks."""
    offline, table = stored()
    said: list[str] = []

    rows = oracles_of([MACHINE, SENSOR], offline, workers=2, told=said.append)

    assert rows["machine"].equals(oracle_rows(MACHINE, table))
    assert rows["sensor"].equals(oracle_rows(SENSOR, table))
    assert said[-1] == "oracle: sensor, 100 of 100 blocks"


def test_only_the_assets_asked_for_are_looked_at() -> None:
    """Named assets alone; of none there is nothing."""
    offline, _ = stored()

    assert set(truth(SENSOR, offline, assets=["a1", "a3"])["asset_id"].to_pylist()) == {"a1", "a3"}
    assert truth(SENSOR, offline, assets=["nobody"]).num_rows == 0
