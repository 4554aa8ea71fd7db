"""Samples per CPU second of the whole Flink job, Java and Python together: the slope between N and 8N records.

The job is the one the product runs: Parquet blocks in, both stores out, checkpoints on. CPU time is that of all its
processes; start-up is in both runs and cancels. Goals: 8 million with 1,000-sample blocks, 20 million with 4,096.

python tests/bench/bench_stream.py [--view basic|vibration] [--samples 1000 4096] [--blocks 40000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from lineshaft.definitions.reader import read_repo
from lineshaft.ops.inbox import write_blocks_file
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft_flink.jars import PARQUET, fetch
from lineshaft_flink.job_file import Feed, JobFile
from lineshaft_flink.process import JobProcess

MINUTE_US = 60_000_000
ASSETS = 200
STATISTICS = ("mean", "std", "rms", "min", "max", "peak", "peak_to_peak", "crest_factor", "skewness", "kurtosis")


def basic_view() -> View:
    """Return basic statistics of one channel over one and five minutes."""
    return View(
        name="basic",
        source=Source(name="bench", channels=("x",), units=("g",)),
        entity_keys=(("asset_id", "string"), ("position", "string")),
        features=tuple(
            Feature(name=f"{function}_{minutes}m", column="x", function=function, window_us=minutes * MINUTE_US)
            for function in STATISTICS
            for minutes in (1, 5)
        ),
    )


def vibration_view() -> View:
    """Return the vibration view of the feature repository, with everything an expert asks for."""
    views = read_repo(Path(__file__).parents[2] / "feature_repo").views
    return next(view for view in views if view.name == "vibration_condition")


def measure(view: View, *, samples: int, few: int, folder: Path) -> str:
    """Run N and 8N blocks; return the slope in words."""
    with EmbeddedValkey(folder / "valkey") as valkey:
        small, large = (
            cpu_seconds(view, samples=samples, blocks=blocks, folder=folder / str(blocks), redis_url=valkey.url)
            for blocks in (few, 8 * few)
        )
    spent = {name: round(large[name] - small.get(name, 0.0), 1) for name in large}
    rate = 7 * few * samples * len(view.source.channels) / sum(spent.values())
    return f"{view.name}, blocks of {samples} samples: {rate / 1e6:.1f} M samples per CPU s; CPU s of the slope {spent}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--view", choices=["basic", "vibration"], default="basic")
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 4096])
    parser.add_argument("--blocks", type=int, default=40_000, help="the smaller run, at 1,000 samples a block")
    given = parser.parse_args(arguments)
    view = basic_view() if given.view == "basic" else vibration_view()
    for samples in given.samples:
        with tempfile.TemporaryDirectory() as folder:
            few = given.blocks * 1000 // samples
            sys.stdout.write(measure(view, samples=samples, few=few, folder=Path(folder)) + "\n")
            sys.stdout.flush()
    return 0


def cpu_seconds(view: View, *, samples: int, blocks: int, folder: Path, redis_url: str) -> dict[str, float]:
    """Run one bounded job; return the CPU seconds of its processes by name."""
    write_feed(view.source, samples=samples, blocks=blocks, folder=folder / "in")
    (folder / "staging").mkdir()
    job = JobFile(
        name="bench",
        feeds=(Feed(views=(view,), history=str(folder / "in")),),
        staging=str(folder / "staging"),
        checkpoints=str(folder / "checkpoints"),
        redis_url=redis_url,
        jars=tuple(map(str, fetch(PARQUET))),
    )
    process = JobProcess(job.write(folder / "job.json"), logs=folder / "logs", heap="2g")
    spent: dict[int, tuple[str, float]] = {}
    watcher = threading.Thread(target=watch, args=(process.pid, spent))
    watcher.start()
    process.wait_started()
    process.wait_ended(1800.0)
    process.close()
    watcher.join()
    names = {name for name, _ in spent.values()}
    return {name: sum(cpu for other, cpu in spent.values() if other == name) for name in sorted(names)}


def watch(pid: int, spent: dict[int, tuple[str, float]]) -> None:
    """Note the CPU time of a process and all it started, until it is gone."""
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            for one in [root, *root.children(recursive=True)]:
                times = one.cpu_times()
                spent[one.pid] = (one.name(), times.user + times.system)
            time.sleep(0.1)
    except psutil.NoSuchProcess:
        return


def write_feed(source: Source, *, samples: int, blocks: int, folder: Path) -> None:
    """Write blocks of a second each, of all assets in turn, 4,000 a file."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(1)
    pool = generator.standard_normal((512, len(source.channels), samples)).astype(np.float32)
    for first in range(0, blocks, 4000):
        rows = np.arange(first, min(first + 4000, blocks))
        table = blocks_table(
            asset_id=[f"machine-{row % ASSETS}" for row in rows],
            position="drive_end",
            starts_us=1_700_000_040_000_000 + rows // ASSETS * 1_000_000,
            samples=pool[rows % len(pool)],
            rate_hz=float(samples),
            shaft_hz=25.0,
            bearing="9,7.94,39.04,0",
        )
        write_blocks_file(table, folder / f"blocks-{first:07d}.parquet")


if __name__ == "__main__":
    raise SystemExit(main())
