"""A Parquet file is there whole or as it was before."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineshaft.stores.whole_files import write_whole


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    """Its folder is made, what was there gives way, and nothing half lies beside it."""
    path = tmp_path / "made" / "rows.parquet"

    for values in ([1], [2, 3]):
        write_whole(pa.table({"x": values}), path)
        assert pq.read_table(path)["x"].to_pylist() == values

    assert [file.name for file in path.parent.iterdir()] == ["rows.parquet"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    """A failure on the way is raised, and the old file stands."""
    path = tmp_path / "rows.parquet"
    write_whole(pa.table({"x": [1]}), path)

    with pytest.raises(pa.ArrowException):
        write_whole(pa.table({"x": pa.array([{}], pa.struct([]))}), path)

    assert pq.read_table(path)["x"].to_pylist() == [1]
