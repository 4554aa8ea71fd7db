"""The unbounded Flink job, reading blocks from a real Kafka broker, makes the oracle's rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from confluent_kafka import Producer

from lineshaft.ops.jobs import Inlet, Target
from lineshaft.ops.verify import check_offline, check_online
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.sources.checks import validate_blocks
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.testing import oracle_rows
from lineshaft_flink.broker import LocalBroker
from lineshaft_flink.launch import FlinkJobs
from lineshaft_flink.rehearsal import MINUTE_US, SOURCE, Rehearsal, rehearsal_view
from lineshaft_flink.wire import pack_block

pytestmark = pytest.mark.heavy

TOPIC = "raw.rehearsal"
PARTITIONS = 2


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[str]:
    """Run a Kafka 4 broker, and tell its address."""
    with LocalBroker(folder=tmp_path / "broker") as broker:
        broker.create_topic(TOPIC, partitions=PARTITIONS)
        yield broker.address


def test_blocks_from_kafka_make_the_oracles_rows(tmp_path: Path, brokers: str) -> None:
    """Two partitions, keyed by asset; one record is no block; heartbeats go to every partition."""
    view = rehearsal_view("from_kafka")
    blocks = Rehearsal().blocks()
    truth = oracle_rows(view, validate_blocks(blocks, SOURCE)[0])
    offline = DeltaOfflineStore(str(tmp_path / "offline"))
    inlet = Inlet(source=SOURCE.name, brokers=brokers, topic=TOPIC)
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        target = Target(offline=offline, redis_url=valkey.url, project="kafka", work=tmp_path / "work")
        send(blocks, brokers)
        with FlinkJobs(heap="768m", checkpoint_s=2.0).stream([view], [inlet], target=target) as stream:
            deadline = time.monotonic() + 150
            while sum(stream.commit().rows.values()) < truth.num_rows:
                assert time.monotonic() < deadline, stream.total
                time.sleep(0.5)
            done = stream.stop()
        assert done.rows == {view.ref: truth.num_rows}
        assert done.rejected["missing_field"] == 1  # the record that is no block
        assert check_offline(view, offline, truth, path="kafka").result.equal
        online = RedisOnlineStore(valkey.url, project="kafka", timeout_s=5.0)
        assert check_online(view, online, truth, path="online").result.equal


def send(blocks: pa.Table, brokers: str) -> None:
    """Send the feed as gateways would: key = asset, timestamp = receipt, a heartbeat to every partition at the end."""
    producer = Producer({"bootstrap.servers": brokers})
    for block in blocks.to_pylist():
        producer.produce(TOPIC, pack_block(block), key=block["asset_id"], timestamp=block["known_us"] // 1000)
    first_ms, last_us = blocks["known_us"][0].as_py() // 1000, blocks["known_us"][-1].as_py()
    producer.produce(TOPIC, b"no block at all", key="stray", timestamp=first_ms)
    beat_us = last_us + 10 * MINUTE_US
    (beat,) = heartbeat_block(source=SOURCE, end_us=beat_us).to_pylist()
    for partition in range(PARTITIONS):
        producer.produce(TOPIC, pack_block(beat), partition=partition, timestamp=beat_us // 1000)
    assert producer.flush(60) == 0
