"""A stream that reads Kafka in two subtasks, killed while it reads, loses nothing and repeats nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from confluent_kafka import Producer

from lineshaft.ops.jobs import JobResult
from lineshaft.ops.verify import check_offline, check_online
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.sources.checks import validate_blocks
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.testing import oracle_rows
from lineshaft_flink.broker import LocalBroker
from lineshaft_flink.cluster import PYTHON_JAR, StandaloneCluster
from lineshaft_flink.committer import Committer
from lineshaft_flink.jars import KAFKA, PARQUET, fetch
from lineshaft_flink.job_file import Feed, JobFile
from lineshaft_flink.orphans import kill_orphans
from lineshaft_flink.rehearsal import MINUTE_US, SOURCE, Rehearsal, rehearsal_view
from lineshaft_flink.wire import pack_block

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parents[2] / "flink_jobs" / "stream_features.py"
TOPIC = "raw.killed"
PARTITIONS = 2


def test_a_task_manager_killed_while_it_reads_kafka_in_two_subtasks_changes_no_row(tmp_path: Path) -> None:
    """Parallelism 2: the same rows as the oracle's, which is of one piece; the kill falls between two checkpoints."""
    view = rehearsal_view("kafka_killed")
    blocks = Rehearsal(assets=6, minutes=12).blocks()  # by hash, four assets in one partition and two in the other
    truth = oracle_rows(view, validate_blocks(blocks, SOURCE)[0])
    offline = DeltaOfflineStore(str(tmp_path / "offline"))
    staging = tmp_path / "staging"
    staging.mkdir()
    with (
        EmbeddedValkey(tmp_path / "valkey") as valkey,
        LocalBroker(folder=tmp_path / "broker") as broker,
        StandaloneCluster(folder=tmp_path / "cluster") as cluster,
    ):
        broker.create_topic(TOPIC, partitions=PARTITIONS)
        job = JobFile(
            name="kafka_killed",
            feeds=(Feed(views=(view,), brokers=broker.address, topic=TOPIC),),
            staging=str(staging),
            checkpoints=str(tmp_path / "checkpoints"),
            redis_url=valkey.url,
            project="kafka_killed",
            parallelism=2,
            checkpoint_s=2.0,
            bundle_ms=200,
            batch_rows=64,
            jars=(*map(str, fetch(PARQUET + KAFKA)), str(PYTHON_JAR)),
        )
        third = blocks.num_rows // 3
        send(blocks.slice(0, third), broker.address)
        job_id = cluster.submit(SCRIPT, job.write(tmp_path / "job.json"))
        committer = Committer(views=[view], offline=offline, staging=staging, aside=tmp_path)
        total = JobResult()

        def rows() -> int:
            nonlocal total
            total = total + committer.commit()
            return total.rows.get(view.ref, 0)

        until(lambda: rows() > 0, what="the first rows")
        send(blocks.slice(third, third), broker.address)
        time.sleep(1.0)  # read in part, and not yet in a checkpoint
        made = cluster.rest.checkpoints(job_id)
        os.kill(cluster.task_manager_pid(), signal.SIGKILL)
        send(blocks.slice(2 * third), broker.address)  # the feed does not wait
        kill_orphans(cluster.folder)
        cluster.start_task_manager(0)
        until(lambda: cluster.rest.checkpoints(job_id) > made, what="a checkpoint after the kill")
        send_heartbeats(broker.address, end_us=blocks["known_us"][-1].as_py() + 10 * MINUTE_US)
        until(lambda: rows() >= truth.num_rows, what="the last rows")
        cluster.rest.stop(job_id, savepoints=(tmp_path / "savepoints").as_uri(), drain=False)
        rows()
        assert total.rows == {view.ref: truth.num_rows}
        assert total.repeats == {}  # Flink's own sink finished each row once
        checked = check_offline(view, offline, truth, path="kafka killed")
        assert checked.result.equal, checked
        store = RedisOnlineStore(valkey.url, project="kafka_killed", timeout_s=5.0)
        online = check_online(view, store, truth, path="online")
        assert online.result.equal, online


def send(blocks: pa.Table, brokers: str) -> None:
    """Send blocks as gateways would: key = asset, timestamp = receipt."""
    producer = Producer({"bootstrap.servers": brokers})
    for block in blocks.to_pylist():
        producer.produce(TOPIC, pack_block(block), key=block["asset_id"], timestamp=block["known_us"] // 1000)
    assert producer.flush(60) == 0


def send_heartbeats(brokers: str, *, end_us: int) -> None:
    """Let time pass in every partition."""
    producer = Producer({"bootstrap.servers": brokers})
    (beat,) = heartbeat_block(source=SOURCE, end_us=end_us).to_pylist()
    for partition in range(PARTITIONS):
        producer.produce(TOPIC, pack_block(beat), partition=partition, timestamp=end_us // 1000)
    assert producer.flush(60) == 0


def until(done: Callable[[], bool], *, what: str, timeout_s: float = 240.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.5)
