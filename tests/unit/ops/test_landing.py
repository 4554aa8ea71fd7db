"""Rows on their way into the store: what is held because it is bad, and what only because nobody could look."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.ops.jobs import COULD_NOT_RUN, FAILED, Verdict
from lineshaft.ops.landing import land
from lineshaft.ops.quarantine import held_batches
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore

VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="a"),),
)


def rows(count: int) -> pa.Table:
    """Return rows of one asset."""
    times = list(range(count))
    arrays = [pa.array(["p"] * count), *(pa.array(times, row_schema(VIEW).field(n).type) for n in (1, 2))]
    return pa.table([*arrays, pa.array([1.0] * count)], schema=row_schema(VIEW))


@pytest.mark.parametrize(("outcome", "unchecked"), [(FAILED, 0), (COULD_NOT_RUN, 2)])
def test_rows_that_nobody_could_check_are_counted_apart(tmp_path: Path, outcome: str, unchecked: int) -> None:
    """Held they are all the same: unknown is not good."""

    def gate(_view: View, table: pa.Table) -> Verdict:
        held = table.slice(0, 2).append_column("reason", pa.array(["r", "r"]))
        return Verdict(good=table.slice(2), quarantined=held, outcome=outcome)

    offline = MemoryOfflineStore()
    landed = land(VIEW, rows(5), batch="b", offline=offline, aside=tmp_path, gate=gate)

    assert (landed.good.num_rows, landed.quarantined, landed.unchecked) == (3, 2, unchecked)
    assert [one.rows for one in held_batches(tmp_path)] == [2]
