"""The unbounded Flink job, following a folder that grows, makes the oracle's rows, stopped and started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.ops.inbox import write_blocks_file
from lineshaft.ops.jobs import Inlet, Target
from lineshaft.ops.verify import check_offline, check_online, stored_rows
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.sources.checks import validate_blocks
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.testing import oracle_rows
from lineshaft_flink.launch import FlinkJobs
from lineshaft_flink.rehearsal import MINUTE_US, SOURCE, Rehearsal, rehearsal_view
from lineshaft_flink.stream import FlinkStream

pytestmark = pytest.mark.heavy

PARTS = 8
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
    """
    view = rehearsal_view("streamed")
    blocks = Rehearsal().blocks()
    truth = oracle_rows(view, validate_blocks(blocks, SOURCE)[0])
    inlet = Inlet(source=SOURCE.name, folder=tmp_path / "live")
    (tmp_path / "live").mkdir()
    offline = DeltaOfflineStore(str(tmp_path / "offline"))
    target = Target(offline=offline, redis_url=server, project="streamed", work=tmp_path / "work")
    drop(blocks, tmp_path / "live", parts=(1, 0))  # history may be read in any order
    with JOBS.stream([view], [inlet], target=target) as stream:
        for part in (2, 3):
            drop(blocks, tmp_path / "live", parts=(part,))
            until_rows(stream, due(truth, blocks, part=part))
        before = sum(stream.stop().rows.values())
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
    assert stored_rows(view, offline).num_rows == truth.num_rows
    checked = check_offline(view, offline, truth, path="stream")
    assert checked.result.equal, checked
    online = check_online(view, RedisOnlineStore(server, project="streamed", timeout_s=5.0), truth, path="online")
    assert online.result.equal, online


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
    """Commit until the stream has written so many rows."""
    deadline = time.monotonic() + timeout_s
    while (rows := sum(stream.commit().rows.values())) < wanted:
        assert time.monotonic() < deadline, f"{rows} rows after {timeout_s} s, {wanted} were expected"
        time.sleep(0.5)
