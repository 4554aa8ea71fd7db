"""What an hourly drift check of fifty models costs, with Evidently's report of the same rows beside it.

    python tests/bench/bench_drift.py                     about two minutes, most of them Evidently's

50 models of 60 features; each was trained on 20,000 rows of 20 assets, and was asked 960 times since yesterday. `ours`
reads each sketch from its artifact and the rows from a table, compares every feature, the scores and every asset, and
writes what it finds to SQLite. `evidently` draws its KS preset of the same 60 columns for one model, in the process it
has to itself, on the same rows: the import is left out, and the figure is taken times fifty. CPU seconds of the
process and of those it waited for; wall time is of a machine that does other things.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from lineshaft.clock import SystemClock
from lineshaft.drift.baseline import baseline_of
from lineshaft.drift.policy import DAY_US, DriftPolicy, Regimes
from lineshaft.drift.rows import rows_of
from lineshaft.drift.sketch import SCORE, Sketch
from lineshaft.ops.drift_check import Asked, check
from lineshaft.registry.drifts import DriftBook, drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft_governance.drift.check import ENVIRONMENT, MODULE
from lineshaft_governance.worker import Worker

ASSETS, STEP_US = 20, DAY_US // 48
NAMES = tuple(f"v{number // 20}__f{number % 20}" for number in range(60))


def rows(seed: int, *, count: int, start: int) -> pa.Table:
    """Return slow features (lag-one correlation 0.9) of every asset, each at levels of its own."""
    dice = np.random.default_rng(seed)
    values = dice.normal(size=(count, ASSETS, len(NAMES) + 1))
    for row in range(1, count):
        values[row] = 0.9 * values[row - 1] + np.sqrt(1 - 0.81) * values[row]
    values += np.random.default_rng(1).normal(size=(ASSETS, len(NAMES) + 1))
    flat = values.reshape(count * ASSETS, -1).astype(np.float32)
    times = np.repeat((start + np.arange(count)) * STEP_US + 1, ASSETS)
    columns = {
        "asset_id": [f"pump-{number:02d}" for number in range(ASSETS)] * count,
        "asked_at": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
    }
    return pa.table({**columns, **{name: flat[:, place] for place, name in enumerate((*NAMES, SCORE))}})


def sketch(table: pa.Table) -> Sketch:
    """Return what a training set looked like."""
    told = {"step_us": STEP_US, "regimes": Regimes(), "time": "asked_at"}
    return Sketch(
        columns=NAMES,
        keys=("asset_id",),
        step_us=STEP_US,
        until_us=0,
        regimes=Regimes(),
        baselines=(baseline_of(rows_of(table, NAMES, **told), window=48),),  # type: ignore[arg-type]
        scores=baseline_of(rows_of(table, (SCORE,), **told), window=48),  # type: ignore[arg-type]
    )


def spent(act: Callable[[], object]) -> tuple[float, float]:
    """Return CPU and wall seconds, of this process and of its children that have ended."""

    def cpu() -> float:
        used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    before, began = cpu(), time.perf_counter()
    act()
    return cpu() - before, time.perf_counter() - began


def ours(book: DriftBook, windows: list[pa.Table], *, at_us: int) -> dict[str, float]:
    """Return what one hourly check of all models takes."""

    def every() -> None:
        for number, window in enumerate(windows):
            name = f"model-{number:02d}"
            check(book, name, 1, book.sketch(name, 1), Asked(rows=window), policy=DriftPolicy(), at_us=at_us)

    cpu, wall = spent(every)
    return {"cpu_s": cpu, "wall_s": wall}


def evidently(folder: Path, reference: pa.Table, window: pa.Table) -> dict[str, float]:
    """Return what Evidently's KS preset takes for one model, its import left out."""

    def draw(*, columns: tuple[str, ...]) -> None:
        worker = Worker(module=MODULE, environment=ENVIRONMENT, timeout_s=600, alone=True)
        process = psutil.Process(worker.pid())
        asked = {"columns": list(columns), "path": str(folder / f"{len(columns)}.html"), "threshold": 0.01}
        worker.ask(asked, tables={"reference": reference.select(NAMES), "current": window.select(NAMES)})
        worker.close()
        psutil.wait_procs([process])  # what it took counts once it has ended

    start, _ = spent(lambda: draw(columns=NAMES[:1]))
    whole, wall = spent(lambda: draw(columns=NAMES))
    return {"start_and_one_column_cpu_s": start, "cpu_s": whole, "cpu_s_of_59_columns": whole - start, "wall_s": wall}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'registry.db'}"
        upgrade(url)
        registry = open_registry(database_url=url, artifacts=folder / "artifacts", clock=SystemClock())
        book = drift_book(registry, "bench")
        reference = rows(7, count=1000, start=0)
        making = [spent(lambda: sketch(reference))[0] for _ in range(3)]
        kept = sketch(reference)
        for number in range(given.models):
            book.keep_sketch(f"model-{number:02d}", 1, kept)
        windows = [rows(100 + number, count=48, start=1000) for number in range(given.models)]
        hourly = [ours(book, windows, at_us=1048 * STEP_US + turn * 3_600_000_000) for turn in range(given.repeat)]
        registry.engine.dispose()
        size = (folder / "artifacts").rglob("*.json")
        beside = evidently(folder, reference, windows[0])
        found = {
            "models": given.models,
            "features": len(NAMES),
            "ours_cpu_s": statistics.median(one["cpu_s"] for one in hourly),
            "ours": hourly,
            "sketch_cpu_s": statistics.median(making),
            "sketch_bytes": next(size).stat().st_size,
            "evidently_one_model": beside,
            "evidently_times_models_cpu_s": given.models * beside["cpu_s_of_59_columns"],
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
