"""The proof's stream: blocks come as history and live files, and rows are waited for as long as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lineshaft.errors import UnavailableError
from lineshaft.ops.jobs import Inlet, JobResult, Target
from lineshaft.ops.proof import run_stream
from lineshaft.ops.truth import truth
from lineshaft.sources.blocks import HEARTBEAT_ASSET, blocks_table
from lineshaft.specs import Feature, Source, View
from lineshaft.stores.memory_offline import MemoryOfflineStore

MINUTE = 60_000_000
VIEW = View(
    name="v",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="x_mean_1m", column="x", function="mean", window_us=MINUTE),),
)


@dataclass(slots=True)
class Stream:
    """A stream that gives the rows of a script, one entry a commit, and then stands still."""

    script: Iterator[int]
    seen: int = 0
    stopped: bool = False

    def commit(self) -> JobResult:
        """Return the script's next count, or the last."""
        self.seen = next(self.script, self.seen)
        return JobResult(rows={VIEW.ref: self.seen})

    def stop(self, *, drain: bool = False) -> JobResult:
        """Note that it was stopped."""
        self.stopped = not drain
        return self.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@dataclass(slots=True)
class Engine:
    """Starts that stream; remembers what lay in the folder then."""

    script: Sequence[int]
    history: list[pa.Table] = field(default_factory=list)
    stream_started: Stream | None = None

    def backfill(self, views: Sequence[View], **_: Any) -> JobResult:
        """Not asked for here."""
        raise NotImplementedError

    def stream(self, views: Sequence[View], inlets: Sequence[Inlet], **_: Any) -> Stream:
        """Start the scripted stream."""
        self.history = [pq.read_table(file) for inlet in inlets for file in sorted(Path(str(inlet.folder)).iterdir())]
        self.stream_started = Stream(iter(self.script))
        return self.stream_started


def streamed(tmp_path: Path, script: Sequence[int], *, patience_s: float) -> tuple[Engine, list[pa.Table], list[str]]:
    """Stream twelve minutes of one machine through a scripted engine; return it, the files, and what was told."""
    blocks = blocks_table(
        asset_id="a",
        starts_us=np.arange(12) * MINUTE,
        samples=np.ones((12, 1, 2)),
        rate_hz=2.0,
    )
    raw = MemoryOfflineStore()
    raw.write_blocks(VIEW.source, blocks.take(np.random.default_rng(0).permutation(12)), batch="b")
    engine, told = Engine(script), list[str]()
    target = Target(offline=raw, redis_url="", project="p", work=tmp_path / "work")
    run_stream(
        [VIEW],
        {"v": truth(VIEW, raw)},
        raw=raw,
        jobs=engine,
        target=target,
        told=told.append,
        patience_s=patience_s,
    )
    files = [pq.read_table(file) for file in sorted((tmp_path / "work" / "inbox" / "s").iterdir())]
    return engine, files, told


def test_blocks_come_in_order_of_receipt_and_time_passes_at_the_end(tmp_path: Path) -> None:
    """Half is there at the start, half comes after; a heartbeat ends it; slow rows are waited for."""
    engine, files, told = streamed(tmp_path, [12, 12, 12, 10, 11, 12], patience_s=0.0)

    (history,) = engine.history
    assert history["start_us"].to_pylist() == [minute * MINUTE for minute in range(6)]
    together = pa.concat_tables(files)
    beat = pc.equal(together["asset_id"], HEARTBEAT_ASSET)
    assert sorted(together.filter(pc.invert(beat))["start_us"].to_pylist()) == [m * MINUTE for m in range(12)]
    assert pc.sum(beat).as_py() == 1
    assert "stream: 11 of 12 rows due" in told
    assert engine.stream_started is not None
    assert engine.stream_started.stopped


def test_a_stream_that_stands_still_is_given_up(tmp_path: Path) -> None:
    """Rows that are due and do not come are a fault, told with both numbers."""
    with pytest.raises(UnavailableError, match="11 of 12 rows, and none for 0 s"):
        streamed(tmp_path, [12, 12, 12, 11], patience_s=0.0)
