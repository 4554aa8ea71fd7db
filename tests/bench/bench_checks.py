"""What the checkpoint of a training costs where several run at once: one Great Expectations each, or one for all.

    python tests/bench/bench_checks.py --at-once 5        about two minutes on a busy machine

Each of the processes is what `lineshaft train` is to its checkpoint: it opens the shipped suites, holds 2,000 rows of
vibration features to theirs, and ends. `alone`: each starts a worker and ends it, as it was before workers were shared;
`shared`: the first starts one, and none is left from before; `warm`: it is there. Seconds are from the start of the
first to the end of the last; CPU is of all of them and of their workers, whether or not these have ended.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from lineshaft.clock import SystemClock
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft_governance.checks.gate import ENVIRONMENT, MODULE, Gate
from lineshaft_governance.checks.suites import Check, Suite, Suites
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.worker import Worker

ROWS = 2_000
NAMES = ("rms", "peak", "std", "kurtosis", "coverage")
VIEW = View(
    name="vibration",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(Feature(name=name) for name in NAMES),
)
CHECKS = (
    *(Check(kind="between", column=name, low=0.0, high=50.0) for name in NAMES),
    Check(kind="pair_ge", column="peak", other="rms"),
    Check(kind="not_null", column="coverage"),
)


def rows() -> pa.Table:
    """Return rows that pass."""
    times = pa.array(np.arange(ROWS) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    values = np.random.default_rng(1).uniform(1, 2, ROWS)
    cells = [pa.array(values + (name == "peak")) for name in NAMES]
    return pa.table([pa.array(["p"] * ROWS), times, times, *cells], schema=row_schema(VIEW))


def one(folder: Path, *, alone: bool) -> float:
    """Be one training's checkpoint; return the CPU seconds of a worker of its own."""
    worker = Worker(module=MODULE, environment=ENVIRONMENT, alone=alone, timeout_s=600)
    suites = Suites(found={("view", VIEW.name): Suite(name=VIEW.name, checks=CHECKS)})
    gate = Gate(suites=suites, results=ResultFolder(folder), clock=SystemClock(), worker=worker)
    outcome = gate.check_batch(VIEW, rows()).verdict.outcome
    if outcome != "passed":
        raise SystemExit(outcome)
    used = spent(worker) if alone else 0.0
    gate.close()
    return used


def spent(worker: Worker) -> float:
    """Return the CPU seconds that a worker has taken so far."""
    times = psutil.Process(worker.pid()).cpu_times()
    return float(times.user + times.system)


def several(count: int, *, alone: bool) -> dict[str, float]:
    """Run several at once; return wall seconds, CPU seconds, and those of the slowest."""
    shared = Worker(module=MODULE, environment=ENVIRONMENT)
    before = 0.0 if alone or not shared._socket().exists() else spent(shared)  # noqa: SLF001  it is not to be started
    began, mine = time.monotonic(), os.times()
    command = [sys.executable, __file__, "--one", "alone" if alone else "shared"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    own = sum(float(process.communicate()[0]) for process in running)
    wall, now = time.monotonic() - began, os.times()
    children = now.children_user + now.children_system - mine.children_user - mine.children_system
    return {"wall_s": round(wall, 1), "cpu_s": round(children + own + (0.0 if alone else spent(shared) - before), 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at-once", type=int, default=5)
    parser.add_argument("--one", choices=("alone", "shared"))
    given = parser.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(f"{one(Path(folder), alone=given.one == 'alone')}\n")
        return
    with tempfile.TemporaryDirectory(prefix="lineshaft-bench-") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder  # noqa: TID251 - children are to find no worker from before
        figures = {
            f"{given.at_once} alone": several(given.at_once, alone=True),
            f"{given.at_once} shared": several(given.at_once, alone=False),
            f"{given.at_once} warm": several(given.at_once, alone=False),
            "1 warm": several(1, alone=False),
        }
        psutil.Process(Worker(module=MODULE, environment=ENVIRONMENT).pid()).kill()
    sys.stdout.write(json.dumps({"load": os.getloadavg()[0], **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
