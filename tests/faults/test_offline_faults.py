"""A writer of the offline store is killed in the middle of it, again and again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore

DAY = 86_400_000_000
ROWS = 3_000
KILLS = 30
VIEW = View(
    name="motor",
    source=Source(name="motor", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(Feature(name=f"x{i}") for i in range(20)),
)

WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from test_offline_faults import VIEW, batch
from lineshaft.stores.delta import DeltaOfflineStore
store = DeltaOfflineStore(sys.argv[1])
number = int(sys.argv[3])
while True:
    store.write_rows(VIEW, batch(number), batch=f"b{number}")
    print(number, flush=True)
    if number % 10 == 9:
        store.compact(VIEW)
    number += 1
"""


def batch(number: int) -> pa.Table:
    """Return the rows of one batch, which span two days."""
    event = number + np.linspace(0, 2 * DAY - 1, ROWS).astype(np.int64)
    rng = np.random.default_rng(number)
    columns = [[f"b{number}"] * ROWS, event, event, *[rng.standard_normal(ROWS) for _ in range(20)]]
    schema = row_schema(VIEW)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def write_until_killed(root: Path, first: int, *, after_s: float) -> int:
    """Write batches from `first` on, kill the writer some time after its first one; return the last one it said."""
    command = [sys.executable, "-c", WRITER, str(root), str(Path(__file__).parent), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acked = int(writer.stdout.readline())
        time.sleep(after_s)
        writer.kill()
        for line in writer.stdout:
            acked = int(line) if line.endswith("\n") else acked
    return acked


def counts(store: DeltaOfflineStore) -> dict[str, int]:
    """Return how many rows of each batch a reader sees."""
    seen: dict[str, int] = {}
    for part in store.read_rows(VIEW, features=["x0"]):
        for entry in part["asset_id"].value_counts().to_pylist():
            seen[entry["values"]] = seen.get(entry["values"], 0) + entry["counts"]
    return seen


@pytest.mark.timeout(900)
def test_a_killed_writer_leaves_whole_batches(tmp_path: Path) -> None:
    """After each of 30 SIGKILLs every batch is there whole or not at all, and none that was acknowledged is lost."""
    rng = random.Random(0)
    store = DeltaOfflineStore(str(tmp_path))
    acked = -1
    for _ in range(KILLS):
        # The first batch of each life is the one the last life may have left half written.
        acked = write_until_killed(tmp_path, acked + 1, after_s=rng.uniform(0, 0.15))

        seen = counts(store)

        assert set(seen.values()) == {ROWS}
        assert set(seen) - {f"b{acked + 1}"} == {f"b{n}" for n in range(acked + 1)}

    store.vacuum(VIEW, retention_hours=0, keep_versions=[], delete=True)
    rows = pa.concat_tables(list(store.read_rows(VIEW, assets=["b7"]))).sort_by("event_time")
    assert rows.equals(batch(7))
    assert counts(store) == seen
