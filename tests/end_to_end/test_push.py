"""Readings pushed over Feast's HTTP and gRPC: into the stream's inbox, and from there to both stores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineshaft.clock import ManualClock
from lineshaft.ops.inbox import write_blocks_file
from lineshaft.ops.ingest import read_rejects
from lineshaft.ops.jobs import Inlet, Target
from lineshaft.ops.pushes import Pushes
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.feast.v1 import serving_pb2
from lineshaft.serving.client import Client
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.metrics import Metrics
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.sources.blocks import heartbeat_block
from lineshaft.specs import Feature, Service, ServiceView, Source, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft_flink.launch import FlinkJobs

MINUTE_US = 60_000_000
NOW_US = 1_767_225_600_000_000
SOURCE = Source(name="readings", channels=("temperature", "current"), units=("degC", "A"))
VIEW = View(
    name="heat",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="mean_1m", column="temperature", function="mean", window_us=MINUTE_US),),
)
SERVICE = Service(name="heat", views=(ServiceView(view="heat", version=VIEW.version, features=("mean_1m",)),))


def iso(us: int) -> str:
    """Return a moment as callers write it."""
    return datetime.fromtimestamp(us / 1e6, tz=UTC).isoformat()


def good(rows: int = 2, *, asset: str = "p0") -> dict[str, list[Any]]:
    """Return readings of one asset, the last of them a minute ago."""
    times = [iso(NOW_US - MINUTE_US - i * 1_000_000) for i in range(rows)]
    return {"asset_id": [asset] * rows, "event_time": times, "temperature": [40.0 + i for i in range(rows)]}


@dataclass(frozen=True, slots=True)
class Plant:
    """A server with both ports open, and the folders and stores behind it."""

    grpc: str
    http: str
    folder: Path
    redis_url: str
    offline: DeltaOfflineStore
    metrics: Metrics

    def counted(self, outcome: str) -> float:
        """Return how many pushed rows had an outcome."""
        labels = {"source": "readings", "outcome": outcome}
        return self.metrics.registry.get_sample_value("lineshaft_pushed_rows_total", labels) or 0.0

    def inbox(self) -> list[Path]:
        """Return the files that the stream would find."""
        return sorted((self.folder / "inbox" / "readings").glob("[!.]*.parquet"))

    def push(self, columns: Mapping[str, Any], **changed: Any) -> httpx.Response:
        """Push over HTTP."""
        body = {"push_source_name": "readings", "df": columns, "to": "online_and_offline", **changed}
        return httpx.post(f"{self.http}/push", json=body)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Start a server that takes readings in."""
    with embedded_server(tmp_path / "online") as url:
        online = RedisOnlineStore(url, project="dev", timeout_s=5.0)
        offline, clock, metrics = DeltaOfflineStore(str(tmp_path / "offline")), ManualClock(time_us=NOW_US), Metrics()
        catalog = FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,))
        plans = Plans(catalog=catalog)
        handlers = Handlers(
            plans=plans,
            features=FeatureHandler(plans=plans, online=online, clock=clock),
            training=TrainingSetHandler(plans=plans, offline=offline),
            pushes=Pushes(catalog=catalog, clock=clock, inbox=tmp_path / "inbox", rejects=tmp_path / "rejects"),
            metrics=metrics,
        )
        limits = Limits(store_timeout_s=5.0)
        with (
            background_server(handlers, limits=limits) as bound,
            feast_http(handlers, "127.0.0.1:0", limits=limits) as http,
        ):
            yield Plant(bound, f"http://{http}", tmp_path, url, offline, metrics)


def test_a_push_over_http_lands_in_the_streams_inbox_once(plant: Plant) -> None:
    """Readings lie there as blocks, known when they were received; the same push again changes nothing."""
    first, again = plant.push(good()), plant.push(good())

    assert first.status_code == 200
    assert first.json() == {"accepted": 2, "rejected": {}, "repeat": False}
    assert again.json() == {"accepted": 2, "rejected": {}, "repeat": True}
    (file,) = plant.inbox()
    blocks = pq.read_table(file)
    assert blocks["known_us"].to_pylist() == [NOW_US] * 2
    assert blocks["start_us"].to_pylist() == [NOW_US - MINUTE_US - 1_000_000, NOW_US - MINUTE_US - 2_000_000]
    assert (plant.counted("accepted"), plant.counted("repeat")) == (2, 2)


def test_bad_rows_are_kept_with_their_reason_and_counted(plant: Plant) -> None:
    """The good row goes on, the bad one lies in the rejects; where all are bad the push is refused."""
    rows = {**good(), "temperature": ["warm", 41.0]}

    answer = plant.push(rows)
    refused = plant.push({name: values[:1] for name, values in rows.items()})

    assert answer.json() == {"accepted": 1, "rejected": {"bad_value": 1}, "repeat": False}
    assert refused.status_code == 400
    assert "1 bad_value" in refused.json()["detail"]
    kept = read_rejects(plant.folder / "rejects")
    assert set(zip(kept["source"].to_pylist(), kept["reason"].to_pylist(), strict=True)) == {("readings", "bad_value")}
    assert plant.counted("bad_value") == 1
    assert len(plant.inbox()) == 1


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"push_source_name": "nothing"}, 404, "there are: readings"),
        ({"push_source_name": 7}, 400, "push_source_name"),
        ({"to": "everywhere"}, 400, "online_and_offline"),
        ({"df": {**good(), "humidity": [1.0, 2.0]}}, 400, "humidity"),
        ({"df": {**good(), "event_time": "now"}}, 400, "df"),
    ],
)
def test_a_push_that_cannot_be_taken_is_refused_in_words(
    plant: Plant, changed: dict[str, Any], status: int, words: str
) -> None:
    """An unknown source is 404 with those there are; anything else that is wrong is 400; nothing is taken in."""
    answer = plant.push(good(), **changed)

    assert answer.status_code == status
    assert words in " ".join(answer.json().values())
    assert plant.inbox() == []


@pytest.mark.filterwarnings("ignore")
def test_feasts_generated_client_pushes_a_row(plant: Plant) -> None:
    """Push takes values as text or typed; what is wrong is the caller's error, never INTERNAL."""
    pytest.importorskip("feast")
    from feast.protos.feast.serving.GrpcServer_pb2 import PushRequest
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub
    from feast.protos.feast.types.Value_pb2 import Value

    texts = {"asset_id": "p0", "event_time": iso(NOW_US - MINUTE_US), "temperature": "40.5"}
    typed = PushRequest(stream_feature_view="readings", to="online")
    typed.typed_features["asset_id"].string_val = "p1"
    typed.typed_features["event_time"].unix_timestamp_val = NOW_US // 1_000_000 - 60
    typed.typed_features["temperature"].double_val = 41.5
    typed.typed_features["current"].CopyFrom(Value())
    both = PushRequest(stream_feature_view="readings", features=texts, typed_features=typed.typed_features)
    bad = PushRequest(stream_feature_view="readings", features={**texts, "temperature": "warm"})
    unknown = PushRequest(stream_feature_view="nothing", features=texts)
    with grpc.insecure_channel(plant.grpc) as channel:
        push = GrpcFeatureServerStub(channel).Push
        assert push(PushRequest(stream_feature_view="readings", features=texts)).status
        assert push(typed).status
        codes = []
        for request in (both, bad, unknown):
            with pytest.raises(grpc.RpcError) as caught:
                push(request)
            error: Any = caught.value
            codes.append(error.code().name)

    assert codes == ["INVALID_ARGUMENT", "INVALID_ARGUMENT", "NOT_FOUND"]
    blocks = pa.concat_tables(pq.read_table(file) for file in plant.inbox())
    assert sorted(blocks["asset_id"].to_pylist()) == ["p0", "p1"]
    assert set(blocks["start_us"].to_pylist()) == {NOW_US - MINUTE_US - 1_000_000}


def test_a_server_without_an_inbox_takes_nothing(plant: Plant) -> None:
    """Where nobody takes pushes they are refused in words, not lost."""
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,)))
    online = RedisOnlineStore(plant.redis_url, project="dev")
    features = FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=NOW_US))
    handlers = Handlers(plans=plans, features=features, training=TrainingSetHandler(plans=plans, offline=plant.offline))
    with feast_http(handlers, "127.0.0.1:0") as http:
        answer = httpx.post(f"http://{http}/push", json={"push_source_name": "readings", "df": good()})

    assert answer.status_code == 400
    assert "takes nothing in" in answer.json()["detail"]


@pytest.mark.heavy
def test_what_is_pushed_is_served_and_trained_on_alike(plant: Plant) -> None:
    """Through the stream job: the mean of a pushed minute is online, offline and in a training set, the same bits."""
    inlet = Inlet(source="readings", folder=plant.folder / "inbox" / "readings")
    target = Target(offline=plant.offline, redis_url=plant.redis_url, project="dev", work=plant.folder / "work")
    assert plant.push(good(30)).json()["accepted"] == 30
    with FlinkJobs(heap="768m", checkpoint_s=2.0).stream([VIEW], [inlet], target=target) as stream:
        beat = heartbeat_block(source=SOURCE, end_us=NOW_US + MINUTE_US)
        write_blocks_file(beat, plant.folder / "inbox" / "readings" / "beat.parquet")
        deadline = time.monotonic() + 150.0
        while not sum(stream.commit().rows.values()):
            assert time.monotonic() < deadline, "no row came"
            time.sleep(0.5)
        stream.stop()

    stamp = pa.array([NOW_US], pa.timestamp("us", tz="UTC"))
    with Client(plant.grpc) as client:
        served = client.features("heat", asset_id=["p0"], at_us=NOW_US).to_arrow()["heat__mean_1m"].to_pylist()
        trained = client.training_set("heat", pa.table({"asset_id": ["p0"], "event_time": stamp})).to_arrow()
    assert served == trained["heat__mean_1m"].to_pylist() == [sum(40.0 + i for i in range(30)) / 30]


def test_our_messages_of_a_push_are_feasts() -> None:
    """The bytes of a push are the same in both vocabularies."""
    pytest.importorskip("feast")
    from feast.protos.feast.serving.GrpcServer_pb2 import PushRequest

    ours = serving_pb2.PushRequest(stream_feature_view="readings", to="online", features={"asset_id": "p0"})
    ours.typed_features["temperature"].float_val = 1.5

    assert PushRequest.FromString(ours.SerializeToString()).typed_features["temperature"].float_val == 1.5
