"""The newest row of each entity, however its rows were cut into files and row groups."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from lineshaft.stores.data_files import DataFile
from lineshaft.stores.newest import newest
from lineshaft.stores.parquet_read import Snapshot

TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("asset_id", pa.string()),
        ("position", pa.int64()),
        ("event_time", TIME),
        ("known_at", TIME),
        ("value", pa.int64()),
    ]
)
Row = tuple[str, int, int, int]

ROWS = st.tuples(st.sampled_from("abc"), st.integers(-1, 1), st.integers(0, 4), st.integers(0, 3))
FILES = st.lists(st.lists(ROWS, min_size=1, max_size=12, unique=True), max_size=5)


def written(
    folder: Path, files: list[list[Row]], *, group_rows: int, tidy: bool
) -> tuple[Snapshot, list[tuple[Row, int]]]:
    """Write files of rows, each with a value of its own; return where they lie, and all rows in order."""
    every: list[tuple[Row, int]] = []
    listed = []
    for number, given_rows in enumerate(files):
        rows = [(row, len(every) + i) for i, row in enumerate(sorted(given_rows) if tidy else given_rows)]
        every += rows
        columns = [*zip(*[row for row, _ in rows], strict=True), [value for _, value in rows]]
        table = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
        path = f"{number}.parquet"
        pq.write_table(table, folder / path, row_group_size=group_rows)
        listed.append(DataFile(path=path, rows=len(rows), size=0))
    source = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    return Snapshot(source=source, where=str(folder), files=tuple(listed), keys=("asset_id", "position")), every


@settings(max_examples=150, deadline=None)
@given(FILES, st.integers(1, 12), st.booleans(), st.sampled_from([1, 5, 1000]))
def test_the_newest_row_of_each_entity_is_found(
    files: list[list[Row]], group_rows: int, tidy: bool, most_held: int
) -> None:
    """Sorted or not, in one row group or many, held at once or piece by piece; of equal times the first file's."""
    with TemporaryDirectory() as folder:
        snapshot, every = written(Path(folder), files, group_rows=group_rows, tidy=tidy)
        tables = list(newest(snapshot, SCHEMA, most_held=most_held))
    found = pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pylist()

    best: dict[tuple[str, int], tuple[tuple[int, int], int]] = {}
    for (asset, position, event, known), value in every:
        if (asset, position) not in best or (event, known) > best[asset, position][0]:
            best[asset, position] = (event, known), value
    assert {(row["asset_id"], row["position"]): row["value"] for row in found} == {k: v for k, (_, v) in best.items()}
    assert len(found) == len(best)
    assert all(table.schema == SCHEMA for table in tables)
