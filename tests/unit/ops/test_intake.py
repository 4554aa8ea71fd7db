"""The checkpoint before the raw store: it remembers a sensor over batches, and keeps aside what it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.ops.intake import DAY_US, Intake
from lineshaft.ops.jobs import COULD_NOT_RUN, FAILED, PASSED, Verdict
from lineshaft.ops.quarantine import held_batches
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Source

SOURCE = Source(name="s", channels=("x",), units=("g",))
NOW = 1_700_000_040_000_000
MINUTE = 60_000_000


def blocks(first: int, count: int, *, factor: float = 1.0, late_us: int = 0) -> pa.Table:
    """Return a minute's waves, in thousandths times a factor."""
    waves = np.rint(np.random.default_rng(first).normal(scale=300, size=(count, 1, 512)))
    starts = NOW + (first + np.arange(count) - 100) * MINUTE
    known = starts + 1_000_000 + late_us
    return blocks_table(
        asset_id="a", starts_us=starts, samples=waves * factor / 1000, rate_hz=2560.0, known_us=known, dtype="f8"
    )


def nobody(_kind: str, _name: str, _table: pa.Table, _facts: pa.Table) -> Verdict | None:
    """Know no suite."""
    return None


def unable(_kind: str, _name: str, table: pa.Table, _facts: pa.Table) -> Verdict | None:
    """Find that the checkpoint cannot be run."""
    held = table.append_column("reason", pa.array(["the checkpoint runs (could not run: killed)"] * len(table)))
    places = tuple(range(len(table)))
    return Verdict(good=table.slice(0, 0), quarantined=held, outcome=COULD_NOT_RUN, places=places)


def test_a_sensor_is_remembered_from_batch_to_batch(tmp_path: Path) -> None:
    """A batch in another unit is held by what an earlier one was like, and does not become what is remembered."""
    door = Intake(work=tmp_path, judge=nobody, now_us=NOW)
    outcomes = [door.blocks(SOURCE, blocks(n, 4, factor=f)).outcome for n, f in ((0, 1), (4, 9.80665), (8, 1), (12, 1))]

    (held,) = held_batches(tmp_path)
    assert outcomes == [PASSED, FAILED, PASSED, PASSED]
    assert (held.what, held.rows, held.reasons[0][0][:13]) == ("source.s", 4, "scale_changed")


def test_what_was_received_after_now_is_held(tmp_path: Path) -> None:
    """More than a day ahead of our own clock, which is believed where a sender's is not."""
    door = Intake(work=tmp_path, judge=nobody, now_us=NOW)

    assert door.blocks(SOURCE, blocks(0, 4, late_us=DAY_US)).outcome == PASSED
    admitted = door.blocks(SOURCE, blocks(10, 4, late_us=2 * DAY_US))

    assert (admitted.good.num_rows, admitted.held.num_rows) == (0, 4)
    assert {text.partition(":")[0] for text in admitted.held["reason"].to_pylist()} == {"received_after_now"}


def test_a_checkpoint_that_cannot_run_holds_all_and_is_no_failure(tmp_path: Path) -> None:
    """Blocks and tables: nothing is stored, nothing is remembered, and no row is blamed."""
    door = Intake(work=tmp_path, judge=unable, now_us=NOW)
    admitted, table = door.blocks(SOURCE, blocks(0, 4)), door.table("events", pa.table({"a": [1, 2]}))

    assert (admitted.outcome, admitted.good.num_rows, admitted.held.num_rows) == (COULD_NOT_RUN, 0, 4)
    assert (table.outcome, table.good.num_rows, table.held.num_rows) == (COULD_NOT_RUN, 0, 2)
    changed = Intake(work=tmp_path, judge=nobody, now_us=NOW).blocks(SOURCE, blocks(4, 4, factor=9.80665))
    assert changed.outcome == PASSED
