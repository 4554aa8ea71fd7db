"""Side tables: what a model learned from stays, whatever takes its place."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.errors import CorruptError, NotFoundError
from lineshaft.ops.environment import environment, packages_sha256
from lineshaft.ops.tables import keep_tables, pin_table, read_pinned, read_table

FIRST, SECOND = pa.table({"asset_id": ["a"]}), pa.table({"asset_id": ["a", "b"]})


def test_a_pinned_table_outlives_its_revision(tmp_path: Path) -> None:
    """The log as it was is read by its digest after another took its name; pinned twice it is one file."""
    keep_tables({"log": FIRST}, tmp_path)
    pinned = [pin_table("log", tmp_path) for _ in range(2)]
    keep_tables({"log": SECOND}, tmp_path)

    assert pinned[0].sha256 == pinned[1].sha256 != pin_table("log", tmp_path).sha256
    assert read_pinned(pinned[0].sha256, tmp_path) == FIRST == pinned[0].table
    assert read_table("log", tmp_path) == SECOND
    assert len(list((tmp_path / "pinned").iterdir())) == 2


def test_a_pinned_table_that_was_altered_or_is_gone_is_refused(tmp_path: Path) -> None:
    """Sound Parquet of other content is no better than none."""
    keep_tables({"log": FIRST, "other": SECOND}, tmp_path)
    digest = pin_table("log", tmp_path).sha256
    path = tmp_path / "pinned" / f"{digest}.parquet"

    path.write_bytes((tmp_path / "other.parquet").read_bytes())
    with pytest.raises(CorruptError, match="was altered"):
        read_pinned(digest, tmp_path)
    path.unlink()
    with pytest.raises(NotFoundError, match="is gone"):
        read_pinned(digest, tmp_path)


def test_what_computes_is_named_with_its_versions() -> None:
    """Python, the machine and every library that may change a bit; all packages have one digest."""
    told = environment()

    assert {"python", "machine", "numpy", "pyarrow"} < set(told)
    assert all(told.values())
    assert packages_sha256() == packages_sha256()
