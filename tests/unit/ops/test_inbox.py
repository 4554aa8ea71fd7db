"""Files of blocks, as jobs read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from lineshaft.ops.inbox import write_blocks_file
from lineshaft.sources.blocks import blocks_table

BLOCKS = blocks_table(asset_id="a", starts_us=np.arange(100), samples=np.ones((100, 1, 4)), rate_hz=4.0)


def test_a_file_of_blocks_is_whole_and_no_blocks_make_no_file(tmp_path: Path) -> None:
    """It holds the blocks as they were, nothing else lies beside it, and an empty table leaves nothing."""
    write_blocks_file(BLOCKS, tmp_path / "history.parquet")
    write_blocks_file(BLOCKS.slice(0, 0), tmp_path / "nothing.parquet")

    assert [path.name for path in tmp_path.iterdir()] == ["history.parquet"]
    assert pq.read_table(tmp_path / "history.parquet").equals(BLOCKS)


def test_its_row_groups_are_neither_too_small_nor_too_large(tmp_path: Path) -> None:
    """Blocks of 1 MB still come 64 at a time: a job reads a row group at once."""
    wide = blocks_table(asset_id="a", starts_us=np.arange(100), samples=np.ones((100, 1, 250_000)), rate_hz=4.0)
    write_blocks_file(BLOCKS, tmp_path / "small.parquet")
    write_blocks_file(wide, tmp_path / "wide.parquet")

    assert pq.ParquetFile(tmp_path / "small.parquet").num_row_groups == 1
    assert pq.ParquetFile(tmp_path / "wide.parquet").num_row_groups == 2
