"""Finished parts become rows once, whatever is repeated, refused or killed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineshaft.ops.jobs import JobResult
from lineshaft.ops.verify import stored_rows
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft_flink.committer import Committer
from lineshaft_flink.packing import REJECTS, RowBatch
from lineshaft_flink.rehearsal import EPOCH_US, rehearsal_view
from lineshaft_flink.resume import remember_savepoint, resume_point

VIEW = rehearsal_view()


def write_part(folder: Path, name: str, *, ticks: range) -> None:
    """Write a part as Flink does: rows of one machine at these minutes, and one refusal."""
    tick_us = EPOCH_US + np.array(ticks, dtype=np.int64) * 60_000_000
    batch = RowBatch(tick_us=tick_us, known_us=tick_us + 1, values=np.full((len(ticks), len(VIEW.features)), np.nan))
    elements = [
        (VIEW.ref, '["machine-0", "drive_end"]', batch.to_bytes()),
        (REJECTS, "[]", json.dumps([["machine-0", "", 1, 2, "bad_payload"]]).encode()),
    ]
    folder.mkdir(exist_ok=True)
    columns = dict(zip(("view", "entity", "payload"), map(list, zip(*elements, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / name)


@pytest.fixture
def committer(tmp_path: Path) -> Committer:
    """Return a committer over a real store."""
    store = DeltaOfflineStore(str(tmp_path / "offline"))
    return Committer(views=[VIEW], offline=store, staging=tmp_path / "staging", aside=tmp_path)


def test_parts_are_taken_once_and_open_ones_left_alone(committer: Committer, tmp_path: Path) -> None:
    """A row that another part brings again is a repeat."""
    write_part(committer.staging, "part-1", ticks=range(3))
    write_part(committer.staging, "part-2", ticks=range(2, 5))
    write_part(committer.staging, ".part-3.inprogress", ticks=range(9))
    done = committer.commit()
    assert done == JobResult(rows={VIEW.ref: 5}, repeats={VIEW.ref: 1}, rejected={"bad_payload": 2})
    assert committer.commit() == JobResult()
    assert stored_rows(VIEW, committer.offline).num_rows == 5
    assert [path.name for path in committer.staging.iterdir()] == [".part-3.inprogress"]
    assert len(list((tmp_path / "rejects").glob("*.parquet"))) == 2


def test_a_part_that_comes_again_after_a_kill_adds_nothing(committer: Committer) -> None:
    """Killed between the store's commit and the part's removal, the same part is there again."""
    write_part(committer.staging, "part-1", ticks=range(3))
    committer.commit()
    write_part(committer.staging, "part-1", ticks=range(3))
    again = committer.commit()
    assert again.repeats == {VIEW.ref: 3}
    assert stored_rows(VIEW, committer.offline).num_rows == 3


def test_a_stream_goes_on_from_whichever_point_is_newer(tmp_path: Path) -> None:
    """A checkpoint without its metadata counts for nothing."""
    assert resume_point(tmp_path) == ""
    half = tmp_path / "checkpoints" / "job" / "chk-8"
    whole = tmp_path / "checkpoints" / "job" / "chk-7"
    for folder in (half, whole):
        folder.mkdir(parents=True)
    (whole / "_metadata").touch()
    assert resume_point(tmp_path) == str(whole)
    remember_savepoint(tmp_path, "file:/savepoint-1")
    assert resume_point(tmp_path) == "file:/savepoint-1"
