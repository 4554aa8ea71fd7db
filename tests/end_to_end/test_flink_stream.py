"""The unbounded Flink job, following a folder that grows, makes the oracle's rows, stopped and started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lineshaft.clock import ManualClock
from lineshaft.ops.inbox import write_blocks_file
from lineshaft.ops.jobs import FAILED, PASSED, Inlet, JobResult, Target, Verdict
from lineshaft.ops.quarantine import held_batches
from lineshaft.ops.release import Keeper
from lineshaft.ops.retract import retract
from lineshaft.ops.verify import check_offline, check_online, stored_rows
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.sources.checks import validate_blocks
from lineshaft.specs import View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.testing import oracle_rows
from lineshaft_flink.launch import FlinkJobs
from lineshaft_flink.rehearsal import MINUTE_US, SOURCE, Rehearsal, rehearsal_view
from lineshaft_flink.stream import FlinkStream

pytestmark = pytest.mark.heavy

PARTS = 8
DOUBTED = "machine-1"
LAG_US = 3_000_000  # two seconds, and a rounding: watermarks count milliseconds
JOBS = FlinkJobs(heap="768m", checkpoint_s=2.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Run a Valkey of our own."""
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        yield valkey.url


def test_a_stream_stopped_and_started_again_makes_every_version_the_oracle_makes(tmp_path: Path, server: str) -> None:
    """Two files lie there as history, two are followed, the job stops, one comes meanwhile, and three after.

    Files of a folder that wait together are read in any order, further apart in receipt time than the lag: each is
    dropped when the last was answered. On a busy machine those of two seconds ago waited together now and then, and
    some rows had versions too many.

    All rows of one machine are held by their checkpoint, after they were served, and released at the end: both stores
    have then what they would have had, had nothing been held.
    """
    view = rehearsal_view("streamed")
    blocks = Rehearsal().blocks()
    truth = oracle_rows(view, validate_blocks(blocks, SOURCE)[0])
    inlet = Inlet(source=SOURCE.name, folder=tmp_path / "live")
    (tmp_path / "live").mkdir()
    offline = DeltaOfflineStore(str(tmp_path / "offline"))
    online = RedisOnlineStore(server, project="streamed", timeout_s=5.0)

    def gate(judged: View, rows: pa.Table) -> Verdict:
        doubtful = pc.equal(rows["asset_id"], DOUBTED)
        good, held = rows.filter(pc.invert(doubtful)), rows.filter(doubtful)
        held = held.append_column("reason", pa.array(["doubted"] * held.num_rows, pa.string()))
        retract(judged, held, good=good, offline=offline, online=online)
        return Verdict(good=good, quarantined=held, outcome=FAILED if held.num_rows else PASSED)

    target = Target(offline=offline, redis_url=server, project="streamed", work=tmp_path / "work", gate=gate)
    drop(blocks, tmp_path / "live", parts=(1, 0))  # history may be read in any order
    with JOBS.stream([view], [inlet], target=target) as stream:
        for part in (2, 3):
            drop(blocks, tmp_path / "live", parts=(part,))
            until_rows(stream, due(truth, blocks, part=part))
        before = answered(stream.stop())
    drop(blocks, tmp_path / "live", parts=(4,))
    with JOBS.stream([view], [inlet], target=target) as stream:
        for part in (4, 5, 6, 7):
            drop(blocks, tmp_path / "live", parts=(part,) if part > 4 else ())
            until_rows(stream, due(truth, blocks, part=part) - before)
        last_us = blocks["known_us"].to_pylist()[-1]
        beat = heartbeat_block(source=SOURCE, end_us=last_us + 10 * MINUTE_US)
        write_blocks_file(beat, tmp_path / "live" / "beat.parquet")
        until_rows(stream, truth.num_rows - before)
        stream.stop()
    doubted = truth.filter(pc.equal(truth["asset_id"], DOUBTED)).num_rows
    assert stored_rows(view, offline).num_rows == truth.num_rows - doubted > 0
    assert DOUBTED not in {name for part in online.scan(view) for name in part["asset_id"].to_pylist()}
    keeper = Keeper(
        catalog=FixedCatalog(all_views=(view,), all_services=()),
        offline=offline,
        online=online,
        work=target.work,
        tables=tmp_path / "tables",
        clock=ManualClock(time_us=1),
    )
    released = [keeper.release(held, actor="ana", reason="it was right") for held in held_batches(target.work)]
    assert sum(decision.stored for decision in released) == doubted > 0
    assert stored_rows(view, offline).num_rows == truth.num_rows
    checked = check_offline(view, offline, truth, path="stream")
    assert checked.result.equal, checked
    served = check_online(view, online, truth, path="online")
    assert served.result.equal, served


def test_a_stream_stopped_before_it_runs_stops_all_the_same(tmp_path: Path, server: str) -> None:
    """A stop that comes while tasks are being deployed is tried again until it holds."""
    inlet = Inlet(source=SOURCE.name, folder=tmp_path / "live")
    target = Target(
        offline=DeltaOfflineStore(str(tmp_path / "offline")),
        redis_url=server,
        project="stopped",
        work=tmp_path / "work",
    )
    (tmp_path / "live").mkdir()
    drop(Rehearsal().blocks(), tmp_path / "live", parts=(0,))

    with JOBS.stream([rehearsal_view("stopped")], [inlet], target=target) as stream:
        stream.stop()

    assert list((tmp_path / "work").rglob("_metadata")), "no savepoint to go on from"


def drop(blocks: pa.Table, folder: Path, *, parts: tuple[int, ...]) -> None:
    """Put some eighths of the feed into the folder, a file each, whole at once."""
    for part in parts:
        write_blocks_file(eighth(blocks, part), folder / f"blocks-{part:03d}.parquet")


def eighth(blocks: pa.Table, part: int) -> pa.Table:
    """Return a part of the feed."""
    size = -(-blocks.num_rows // PARTS)
    return blocks.slice(part * size, size)


def due(truth: pa.Table, blocks: pa.Table, *, part: int) -> int:
    """Count the rows that are out when a part was read: what was known before its last block, less the job's lag."""
    newest_us = eighth(blocks, part)["known_us"][-1].as_py() - LAG_US
    return sum(known_us <= newest_us for known_us in truth["known_at"].cast(pa.int64()).to_pylist())


def until_rows(stream: FlinkStream, wanted: int, *, timeout_s: float = 150.0) -> None:
    """Commit until the stream has answered so many rows."""
    deadline = time.monotonic() + timeout_s
    while (rows := answered(stream.commit())) < wanted:
        assert time.monotonic() < deadline, f"{rows} rows after {timeout_s} s, {wanted} were expected"
        time.sleep(0.5)


def answered(result: JobResult) -> int:
    """Count the rows that were stored and those that are held."""
    return sum(result.rows.values()) + sum(result.quarantined.values())
