"""`feast materialize` runs the real Flink job, and what it wrote equals the oracle bit for bit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.specs import BLOCK_SCHEMA
from lineshaft.tiles.comparison import compare_rows
from lineshaft.tiles.oracle import oracle_rows

feast = pytest.importorskip("feast")
pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]

HERE = Path(__file__).parent
FEAST = Path(sys.executable).with_name("feast")
START_US = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000


def blocks() -> pa.Table:
    """Return ten minutes of temperature of one machine."""
    rng = np.random.default_rng(5)
    rows = [
        {
            "asset_id": "press", "position": "", "start_us": START_US + minute * 60_000_000,
            "known_us": START_US + (minute + 1) * 60_000_000, "sequence": 0, "rate_hz": 0.1, "dtype": "f8",
            "payload": rng.normal(60, 1, 6).astype("<f8").tobytes(), "shaft_hz": None, "bearing": None,
            "full_scale": None,
        }
        for minute in range(10)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=BLOCK_SCHEMA)


def test_feast_materialize_runs_the_flink_job(tmp_path: Path) -> None:
    """Apply, put blocks in, materialize from the command line, compare with brute force; then read online."""
    from lineshaft.feast_plugin.parts import parts_of

    repo = tmp_path / "feature_repo"
    shutil.copytree(HERE / "feast_repo", repo, ignore=shutil.ignore_patterns("__pycache__"))
    config = repo / "feature_store.yaml"
    config.write_text(
        config.read_text(encoding="utf-8").replace(', jobs: "oracle_jobs:OracleJobs"', ""), encoding="utf-8"
    )
    subprocess.run([FEAST, "-c", repo, "apply"], check=True, timeout=240, capture_output=True)
    store = feast.FeatureStore(str(repo))
    parts = parts_of(store.config)
    view = parts.catalog().view("heat")
    parts.offline.write_blocks(view.source, blocks(), batch="ten minutes")

    command = [str(FEAST), "-c", str(repo), "materialize", "-v", "heat", "2026-01-05T00:00:00", "2026-01-06T00:00:00"]
    done = subprocess.run(command, check=False, timeout=280, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr[-3000:]
    stored = pa.concat_tables(parts.offline.read_rows(view))
    assert compare_rows(view, stored, oracle_rows(view, blocks())).equal
    assert stored.num_rows == 10
    assert sum(table.num_rows for table in parts.online(view).scan(view)) == 1
    parts.close()
