"""Point-in-time join against DuckDB's ASOF join, polars' join_asof and bare decoding, on the same Parquet files.

    python tests/bench/bench_join.py                 everything: 3 views of 3.33M rows, 60 features, 10 k to 1 M asks
    python tests/bench/bench_join.py --rows-per-asset 200 --asks 1000     a quick look

Data lie under `.bench/join` and are made once: 500 assets, a row a minute, written in batches of six hours and then
compacted, as a plant would. Each engine runs in a process of its own, in turn, so that peak memory is its own. At the
smallest size every value is compared bit for bit with pandas `merge_asof`. Peers take no notice of `known_at`, so
`known` is set late enough to hide nothing; Lineshaft checks it all the same. No ttl anywhere: it is judged later.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.ports import Wanted

FLOATS = {"motor": 20, "bearing": 20, "process": 10}
INTS = {"motor": 0, "bearing": 0, "process": 10}
START_US = 1_767_225_600_000_000
MINUTE_US = 60_000_000
LATE_US = 1_000_000
BATCH_MINUTES = 360
ENGINES = ("lineshaft", "duckdb", "polars", "decode")


def view(name: str) -> View:
    """Return one of the three views: 60 features between them, 10 of them integers."""
    floats = [Feature(name=f"{name}_f{i:02d}") for i in range(FLOATS[name])]
    ints = [Feature(name=f"{name}_i{i:02d}", dtype="int64") for i in range(INTS[name])]
    source = Source(name=name, channels=("x",), units=("",))
    return View(name=name, source=source, entity_keys=(("asset_id", "string"),), features=(*floats, *ints))


VIEWS = tuple(view(name) for name in FLOATS)


def generate(root: Path, *, assets: int, minutes: int) -> None:
    """Write the tables once."""
    store = DeltaOfflineStore(str(root))
    rng = np.random.default_rng(0)
    names = pa.array([f"asset_{k:07d}" for k in range(assets)])
    for each in VIEWS:
        if store.version(each) >= 0:
            continue
        for first in range(0, minutes, BATCH_MINUTES):
            ticks = np.arange(first, min(minutes, first + BATCH_MINUTES))
            event = np.tile(START_US + ticks * MINUTE_US, assets)
            columns: list[Any] = [
                names.take(pa.array(np.repeat(np.arange(assets), len(ticks)))),
                event,
                event + LATE_US,
            ]
            columns += [rng.standard_normal(len(event)) for _ in range(FLOATS[each.name])]
            columns += [rng.integers(0, 1 << 30, len(event)) for _ in range(INTS[each.name])]
            rows = [pa.array(c, f.type) for c, f in zip(columns, row_schema(each), strict=True)]
            store.write_rows(each, pa.table(rows, schema=row_schema(each)), batch=f"m{first}")
        store.compact(each)
        store.vacuum(each, retention_hours=0, keep_versions=[], delete=True)


def asks(count: int, *, assets: int, minutes: int) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """Return random entities at random microseconds."""
    rng = np.random.default_rng(7)
    at = START_US + rng.integers(MINUTE_US, minutes * MINUTE_US, count)
    ids = np.array([f"asset_{k:07d}" for k in range(assets)])[rng.integers(0, assets, count)]
    return pa.table({"asset_id": ids}), at


def files(root: Path, name: str) -> list[str]:
    """Return the Parquet files of a view."""
    (table,) = (root / "rows").glob(f"{name}.*")
    return sorted(str(path) for path in table.glob("event_date=*/*.parquet"))


def run_lineshaft(root: Path, keys: pa.Table, at: Any) -> Iterator[pa.Table]:
    """Stream the three views side by side."""
    store = DeltaOfflineStore(str(root))
    streams = [
        store.as_of(Wanted(view=v, features=v.feature_names, keys=keys), at, known_us=at + LATE_US) for v in VIEWS
    ]
    for chunks in zip(*streams, strict=True):
        columns = {n: f.rows[n] for v, f in zip(VIEWS, chunks, strict=True) for n in v.feature_names}
        yield pa.table(columns)


def run_duckdb(root: Path, keys: pa.Table, at: Any) -> Iterator[pa.Table]:
    """One ASOF LEFT JOIN per view."""
    import duckdb

    link = duckdb.connect()
    link.execute("SET threads=2; SET TimeZone='UTC'")
    moment = pa.array(at, pa.timestamp("us", tz="UTC"))
    link.register("e", keys.append_column("at", moment).append_column("row", pa.array(np.arange(len(at)))))
    columns = ", ".join(f"{v.name}.{n}" for v in VIEWS for n in v.feature_names)
    joins = " ".join(
        f"ASOF LEFT JOIN read_parquet({files(root, v.name)}) {v.name} "
        f"ON e.asset_id = {v.name}.asset_id AND e.at >= {v.name}.event_time"
        for v in VIEWS
    )
    yield link.execute(f"SELECT e.row, {columns} FROM e {joins}").to_arrow_table()  # noqa: S608 - names of ours


def run_polars(root: Path, keys: pa.Table, at: Any) -> Iterator[pa.Table]:
    """One lazy join_asof per view; both sides must be sorted by time."""
    import polars as pl

    moment = pa.array(at, pa.timestamp("us", tz="UTC"))
    left = pl.from_arrow(keys.append_column("at", moment).append_column("row", pa.array(np.arange(len(at)))))
    query = left.lazy().sort("at")  # type: ignore[union-attr]
    for each in VIEWS:
        right = pl.scan_parquet(files(root, each.name), hive_partitioning=False).drop("known_at").sort("event_time")
        query = query.join_asof(right, left_on="at", right_on="event_time", by="asset_id", strategy="backward")
        query = query.drop("event_time", strict=False)
    yield query.select("row", *[n for v in VIEWS for n in v.feature_names]).collect().to_arrow()


def run_decode(root: Path, _keys: pa.Table, _at: Any) -> Iterator[pa.Table]:
    """No join: decode every column of every row group, the floor of any engine that must read them all."""
    for each in VIEWS:
        for path in files(root, each.name):
            parquet = pq.ParquetFile(path)
            for group in range(parquet.num_row_groups):
                parquet.read_row_group(group)
    yield pa.table({"row": []})


def reference(root: Path, keys: pa.Table, at: Any) -> pa.Table:
    """Return what pandas merge_asof says, in the order asked."""
    import pandas as pd

    out = keys.to_pandas().assign(at=pd.DatetimeIndex(at.astype("datetime64[us]")).tz_localize("UTC"))
    out["row"] = np.arange(len(out))
    out = out.sort_values("at")
    for each in VIEWS:
        right = pa.concat_tables([pq.ParquetFile(p).read() for p in files(root, each.name)]).to_pandas()
        right = right.drop(columns="known_at").sort_values("event_time", kind="stable")
        out = pd.merge_asof(out, right, left_on="at", right_on="event_time", by="asset_id").drop(columns="event_time")
    return pa.Table.from_pandas(out.sort_values("row"), preserve_index=False)


def differing(ours: pa.Table, theirs: pa.Table) -> int:
    """Return how many values differ in any bit; both in the order asked."""
    wrong = 0
    for name in (n for v in VIEWS for n in v.feature_names):
        left, right = (table[name].combine_chunks().to_numpy(zero_copy_only=False) for table in (ours, theirs))
        wrong += int((left.view(np.int64) != right.astype(left.dtype).view(np.int64)).sum())
    return wrong


def worker(options: argparse.Namespace) -> dict[str, Any]:
    """Run one engine once; return what it took."""
    keys, at = asks(options.asks[0], assets=options.assets, minutes=options.rows_per_asset)
    run = globals()[f"run_{options.engine}"]
    wall, cpu, rows = time.perf_counter(), time.process_time(), 0
    for chunk in run(options.root, keys, at):
        rows += chunk.num_rows
        del chunk
    took = {"s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) // 1000 for line in status.splitlines() if line.startswith("VmHWM"))
    return {"engine": options.engine, "asks": len(at), **took, "peak_mb": peak, "rows": rows}


def check(options: argparse.Namespace) -> dict[str, Any]:
    """Compare every value with pandas."""
    keys, at = asks(options.asks[0], assets=options.assets, minutes=options.rows_per_asset)
    ours = pa.concat_tables(run_lineshaft(options.root, keys, at))
    values = ours.num_rows * ours.num_columns
    return {
        "check": "pandas merge_asof",
        "values": values,
        "differing": differing(ours, reference(options.root, keys, at)),
    }


def say(record: dict[str, Any]) -> None:
    """Write one line of JSON."""
    sys.stdout.write(json.dumps({**record, "load1": round(os.getloadavg()[0], 1)}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Make the data, run every engine at every size in turn, print seconds, peak memory and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path(".bench/join"))
    parser.add_argument("--assets", type=int, default=500)
    parser.add_argument("--rows-per-asset", type=int, default=6667)
    parser.add_argument("--asks", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.root = (options.dir / f"{options.assets}x{options.rows_per_asset}").resolve()
    if options.engine:
        say(check(options) if options.engine == "check" else worker(options))
        return
    generate(options.root, assets=options.assets, minutes=options.rows_per_asset)
    every = [path for v in VIEWS for path in files(options.root, v.name)]
    size = sum(Path(path).stat().st_size for path in every)
    say({"rows": 3 * options.assets * options.rows_per_asset, "files": len(every), "gb": round(size / 1e9, 2)})
    same = ["--dir", str(options.dir), "--assets", str(options.assets), "--rows-per-asset", str(options.rows_per_asset)]

    def child(engine: str, count: int) -> dict[str, Any]:
        command = [sys.executable, __file__, *same, "--asks", str(count), "--engine", engine]
        return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    say(child("check", options.asks[0]))
    for count in options.asks:
        best: dict[str, dict[str, float]] = {"s": {}, "cpu_s": {}}
        for _ in range(options.repeats):
            for engine in options.engines:
                record = child(engine, count)
                say(record)
                for unit, least in best.items():
                    least[engine] = min(least.get(engine, np.inf), record[unit])
        for unit, least in best.items():  # wall time is the promise, CPU time the steadier figure on a shared machine
            say({"asks": count, "unit": unit, "ratio": {e: round(t / least["lineshaft"], 2) for e, t in least.items()}})


if __name__ == "__main__":
    main()
