"""What comes in is validated, written once, and accounted for to the last record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import NotFoundError
from lineshaft.ops.ingest import content_name, count_samples, ingest, read_rejects
from lineshaft.ops.tables import keep_tables, read_table
from lineshaft.sources.blocks import blocks_table
from lineshaft.sources.reading import Reading, reject_rows
from lineshaft.sources.tabular import utc_us
from lineshaft.specs import BLOCK_SCHEMA, Source
from lineshaft.stores.delta import DeltaOfflineStore

START_US = utc_us("2024-01-01")
SOURCE = Source(name="pump_blocks", channels=("x", "y"), units=("g", "g"))
SOURCES = {SOURCE.name: SOURCE}


def blocks(*starts_s: int, **columns: Any) -> pa.Table:
    """Return blocks of two channels and four samples."""
    starts = [START_US + second * 1_000_000 for second in starts_s]
    samples = np.arange(len(starts) * 8, dtype=np.float64).reshape(-1, 2, 4)
    return blocks_table(
        asset_id="pump", starts_us=starts, samples=samples, rate_hz=columns.pop("rate_hz", 4.0), **columns
    )


@pytest.fixture
def offline(tmp_path: Path) -> DeltaOfflineStore:
    """Return an empty store."""
    return DeltaOfflineStore(str(tmp_path / "offline"))


def take_in(offline: DeltaOfflineStore, folder: Path, *readings: Reading, label: str = "set") -> Any:
    """Ingest readings."""
    return ingest(readings, sources=SOURCES, offline=offline, rejects=folder / "rejects", label=label)


def stored(offline: DeltaOfflineStore) -> list[int]:
    """Return the starts of the stored blocks, in order."""
    return sorted(start for table in offline.read_blocks(SOURCE) for start in table["start_us"].to_pylist())


def test_good_and_bad_are_counted_and_kept(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """Blocks in = stored + rejected; the reader's own rejects and notes are in the account too."""
    mixed = pa.concat_tables([blocks(0, 1, 2), blocks(3, rate_hz=-1.0)])
    lost = reject_rows(source="pump_blocks", reason="shifted_record", rows=[{"asset_id": "pump", "line": 7}])
    reading = Reading(blocks={"pump_blocks": mixed}, rejects=lost, notes={"renamed": 2})

    done = take_in(offline, tmp_path, reading, Reading(notes={"renamed": 1}))

    assert done.blocks == {"pump_blocks": 3}
    assert done.samples == {"pump_blocks": 3 * 2 * 4}
    assert done.rejected == {"bad_rate": 1, "shifted_record": 1}
    assert done.notes == {"renamed": 3}
    assert len(stored(offline)) == 3
    assert sorted(read_rejects(tmp_path / "rejects")["reason"].to_pylist()) == ["bad_rate", "shifted_record"]


def test_a_reading_taken_in_twice_changes_nothing(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """Blocks and rejects are named by their content: a second run adds neither."""
    reading = Reading(blocks={"pump_blocks": pa.concat_tables([blocks(0, 1), blocks(2, rate_hz=-1.0)])})

    first, second = take_in(offline, tmp_path, reading), take_in(offline, tmp_path, reading)

    assert first == second
    assert len(stored(offline)) == 2
    assert read_rejects(tmp_path / "rejects").num_rows == 1


def test_readings_that_differ_are_both_kept(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """One more block is another batch."""
    take_in(offline, tmp_path, Reading(blocks={"pump_blocks": blocks(0)}), Reading(blocks={"pump_blocks": blocks(1)}))

    assert stored(offline) == [START_US, START_US + 1_000_000]


def test_a_reading_without_a_good_block_writes_none(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """All rejected is an account, not an error."""
    done = take_in(offline, tmp_path, Reading(blocks={"pump_blocks": blocks(0, rate_hz=-1.0)}))

    assert (done.blocks, done.samples, done.rejected) == ({"pump_blocks": 0}, {"pump_blocks": 0}, {"bad_rate": 1})
    assert stored(offline) == []


def test_an_undeclared_source_is_refused_by_name(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """The error names the source, and those that are known."""
    with pytest.raises(NotFoundError, match="'pumps' is not declared") as refused:
        take_in(offline, tmp_path, Reading(blocks={"pumps": blocks(0)}))

    assert "pump_blocks" in refused.value.fix


def test_no_rejects_is_an_empty_table(tmp_path: Path) -> None:
    """Nothing was ever rejected: the folder need not exist."""
    assert read_rejects(tmp_path / "none").num_rows == 0


def test_a_half_written_reject_is_not_read(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """What a killed writer left behind has a hidden name."""
    take_in(offline, tmp_path, Reading(blocks={"pump_blocks": blocks(0, rate_hz=-1.0)}))
    (tmp_path / "rejects" / ".torn.partial").write_bytes(b"half")

    assert read_rejects(tmp_path / "rejects").num_rows == 1


def test_names_depend_on_content_alone() -> None:
    """The same blocks in other chunks have one name; a bit, a column or the order makes another."""
    whole = blocks(0, 1, 2)
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])

    assert content_name(chunked) == content_name(whole)
    others = [whole.slice(1), blocks(0, 1, 3), blocks(0, 1, 2, shaft_hz=1.0), whole.take([1, 0, 2])]
    assert len({content_name(table) for table in (whole, *others)}) == 5


@pytest.mark.parametrize(("dtype", "samples"), [("f4", 16), ("f8", 16)])
def test_samples_are_counted_whatever_their_width(dtype: str, samples: int) -> None:
    """Two blocks of two channels and four samples are sixteen samples."""
    assert count_samples(blocks(0, 1, dtype=dtype)) == samples
    assert count_samples(BLOCK_SCHEMA.empty_table()) == 0


def test_a_side_table_replaces_the_one_before(tmp_path: Path) -> None:
    """Tables are kept by name, the newest whole."""
    keep_tables({"labels": pa.table({"x": [1]}), "events": pa.table({"y": [2]})}, tmp_path / "tables")
    keep_tables({"labels": pa.table({"x": [3, 4]})}, tmp_path / "tables")

    assert read_table("labels", tmp_path / "tables")["x"].to_pylist() == [3, 4]
    assert read_table("events", tmp_path / "tables")["y"].to_pylist() == [2]


def test_a_table_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    """The error lists what was ingested."""
    keep_tables({"labels": pa.table({"x": [1]})}, tmp_path)

    with pytest.raises(NotFoundError, match="no table 'maintenance'") as missing:
        read_table("maintenance", tmp_path)
    assert missing.value.fix == "tables there: labels"
    with pytest.raises(NotFoundError) as none:
        read_table("labels", tmp_path / "empty")
    assert none.value.fix == "tables there: none"


def test_side_tables_of_many_readings_are_put_together(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """A log that comes file by file is one table, in order, beside the blocks."""
    first, second = pa.table({"x": [1, 2]}), pa.table({"x": [3]})

    done = take_in(
        offline,
        tmp_path,
        Reading(tables={"events": first}),
        Reading(blocks={"pump_blocks": blocks(0)}, tables={"events": second, "labels": first}),
    )

    assert done.tables["events"]["x"].to_pylist() == [1, 2, 3]
    assert done.tables["labels"]["x"].to_pylist() == [1, 2]
    assert done.notes == {}


def test_progress_counts_the_blocks_written(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """Source by source, as they are written; rejected ones are not progress."""
    steps: list[int] = []
    mixed = pa.concat_tables([blocks(0, 1, 2), blocks(3, rate_hz=-1.0)])

    ingest(
        [Reading(blocks={"pump_blocks": mixed}), Reading(blocks={"pump_blocks": blocks(5)})],
        sources=SOURCES,
        offline=offline,
        rejects=tmp_path / "deep" / "rejects",
        label="set",
        progress=steps.append,
    )

    assert steps == [3, 1]
    assert read_rejects(tmp_path / "deep" / "rejects").num_rows == 1


def test_where_one_value_ends_the_next_begins() -> None:
    """Two texts side by side are not one longer text: moving a letter over makes another name."""
    whole = blocks(0)
    left = whole.set_column(0, "asset_id", pa.array(["ab"])).set_column(1, "position", pa.array(["c"]))
    right = whole.set_column(0, "asset_id", pa.array(["a"])).set_column(1, "position", pa.array(["bc"]))

    assert content_name(left) != content_name(right)


def test_one_label_does_not_hide_anothers_blocks(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """The same blocks under two labels are two batches; within a label they are one."""
    for label in ("one", "two", "one"):
        take_in(offline, tmp_path, Reading(blocks={"pump_blocks": blocks(0)}), label=label)

    assert len(stored(offline)) == 2


def test_what_was_read_before_a_fault_is_kept(offline: DeltaOfflineStore, tmp_path: Path) -> None:
    """A reading of an unknown source stops the work; the ones before it are stored and need not be read again."""
    with pytest.raises(NotFoundError):
        take_in(offline, tmp_path, Reading(blocks={"pump_blocks": blocks(0)}), Reading(blocks={"pumps": blocks(1)}))

    assert stored(offline) == [START_US]
