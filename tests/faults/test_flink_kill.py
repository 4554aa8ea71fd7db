"""A stream whose task manager and Python worker are killed again and again loses nothing and repeats nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lineshaft.ops.inbox import write_blocks_file
from lineshaft.ops.jobs import JobResult
from lineshaft.ops.verify import check_offline, check_online, stored_rows
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.sources.checks import validate_blocks
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.testing import oracle_rows
from lineshaft_flink.cluster import PYTHON_JAR, StandaloneCluster
from lineshaft_flink.committer import Committer
from lineshaft_flink.jars import PARQUET, fetch
from lineshaft_flink.job_file import Feed, JobFile
from lineshaft_flink.orphans import kill_orphans, marked
from lineshaft_flink.rehearsal import MINUTE_US, SOURCE, Rehearsal, rehearsal_view

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parents[2] / "flink_jobs" / "stream_features.py"
FILES_A_KILL = 3
KILLS = ("task manager", "worker", "task manager", "worker", "task manager")


def test_five_kills_mid_window_lose_nothing_repeat_nothing_and_change_nothing(tmp_path: Path) -> None:
    """On a standalone cluster; each kill falls between checkpoints, with windows open and files half read."""
    view = rehearsal_view("killed")
    blocks = Rehearsal(assets=4, minutes=20, step_s=4).blocks()
    truth = oracle_rows(view, validate_blocks(blocks, SOURCE)[0])
    offline = DeltaOfflineStore(str(tmp_path / "offline"))
    live, staging = tmp_path / "live", tmp_path / "staging"
    for folder in (live, staging):
        folder.mkdir()
    with EmbeddedValkey(tmp_path / "valkey") as valkey, StandaloneCluster(folder=tmp_path / "cluster") as cluster:
        job = JobFile(
            name="killed",
            feeds=(Feed(views=(view,), live=str(live)),),
            staging=str(staging),
            checkpoints=str(tmp_path / "checkpoints"),
            redis_url=valkey.url,
            project="killed",
            lag_us=6
            * MINUTE_US,  # after a kill the files of a folder are read again in any order: about four minutes' worth
            checkpoint_s=2.0,
            monitor_s=0.5,
            bundle_ms=200,
            batch_rows=64,
            jars=(*map(str, fetch(PARQUET)), str(PYTHON_JAR)),
        )
        job_id = cluster.submit(SCRIPT, job.write(tmp_path / "job.json"))
        committer = Committer(views=[view], offline=offline, staging=staging, aside=tmp_path)
        total = JobResult()
        size = -(-blocks.num_rows // (FILES_A_KILL * len(KILLS)))
        for number in range(FILES_A_KILL * len(KILLS)):
            write_blocks_file(blocks.slice(number * size, size), live / f"blocks-{number:03d}.parquet")
            time.sleep(1.5)  # one after the other, as a feed would be
            total = total + committer.commit()
            if number % FILES_A_KILL == 1:
                made = cluster.rest.checkpoints(job_id)
                kill(KILLS[number // FILES_A_KILL], cluster)
                recovered(cluster, job_id, made=made)
        last_us = blocks["known_us"].to_pylist()[-1]
        write_blocks_file(heartbeat_block(source=SOURCE, end_us=last_us + 10 * MINUTE_US), live / "beat.parquet")

        def complete() -> bool:
            nonlocal total
            total = total + committer.commit()
            return bool(total.rows.get(view.ref, 0) >= truth.num_rows)

        until(complete, what="the last rows")
        cluster.rest.stop(job_id, savepoints=(tmp_path / "savepoints").as_uri(), drain=False)
        committed = committer.commit()
        assert sum(committed.rows.values()) == 0
        assert total.rows == {view.ref: truth.num_rows}
        assert total.repeats == {}  # Flink's own sink finished each row once
        assert stored_rows(view, offline).num_rows == truth.num_rows
        checked = check_offline(view, offline, truth, path="killed")
        assert checked.result.equal, checked
        online = check_online(view, RedisOnlineStore(valkey.url, project="killed", timeout_s=5.0), truth, path="online")
        assert online.result.equal, online
    assert not marked(tmp_path / "cluster")


def kill(what: str, cluster: StandaloneCluster) -> None:
    """Kill one of the job's processes with SIGKILL, as the kernel does when memory runs out, and start what is lost."""
    if what == "worker":
        workers = [pid for pid in marked(cluster.folder) if is_worker(pid)]
        assert workers, "no Python worker was found"
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        return
    os.kill(cluster.task_manager_pid(), signal.SIGKILL)
    time.sleep(0.5)
    kill_orphans(cluster.folder)
    cluster.start_task_manager(0)


def is_worker(pid: int) -> bool:
    """Tell a Python worker by its command line."""
    try:
        return b"pyflink.fn_execution.beam" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def recovered(cluster: StandaloneCluster, job_id: str, *, made: int) -> None:
    """Wait until all tasks run again and two checkpoints were completed since the kill."""
    until(lambda: cluster.rest.checkpoints(job_id) >= made + 2, what="two checkpoints after a kill")
    until(lambda: cluster.rest.tasks_running(job_id), what="all tasks to run again")


def until(done: Callable[[], bool], *, what: str, timeout_s: float = 240.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.5)
