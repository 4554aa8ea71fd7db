"""A server is light: it imports nothing that its answers do not need, and holds little memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from lineshaft.drills.plant import VIEWS, machine, plant_at
from lineshaft.serving.client import Client
from lineshaft.specs import (
    Feature,
    OnDemandFeature,
    OnDemandView,
    Service,
    ServiceView,
    Source,
    View,
    row_schema,
)
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore

DTYPES = ("float64", "float32", "int64", "int32", "bool", "string", "bytes", "timestamp")
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=tuple(Feature(name=f"a_{dtype}", dtype=dtype) for dtype in DTYPES),
    ttl_us=60_000_000,
)
DEMANDS = OnDemandView(
    name="more",
    features=(
        OnDemandFeature(name="times", function="ratio", inputs=("pumps__a_float64", "pumps__a_int64")),
        OnDemandFeature(
            name="zone",
            function="severity_zone[iso10816-3:group2:rigid]",
            inputs=("pumps__a_float32",),
            dtype="string",
        ),
    ),
)
SERVICE = Service(
    name="all",
    views=(ServiceView(view="pumps", version=VIEW.version, features=VIEW.feature_names),),
    on_demand=(DEMANDS,),
)
CHILD = """
import json, sys, urllib.request
import grpc
from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import Service, View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

url, view, service = sys.argv[1], View.from_json(sys.argv[2]), Service.from_json(sys.argv[3])
plans = Plans(catalog=FixedCatalog(all_views=(view,), all_services=(service,), all_on_demand=service.on_demand))
online = RedisOnlineStore(url, project="dev", timeout_s=5.0)
features = FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=100_000_000))
training = TrainingSetHandler(plans=plans, offline=DeltaOfflineStore("nowhere"))
handlers = Handlers(plans=plans, features=features, training=training)
limits = Limits(store_timeout_s=5.0)
assets = ["whole", "null", "stale", "nobody"]
said = []
with background_server(handlers, limits=limits) as bound, feast_http(handlers, "127.0.0.1:0", limits=limits) as http:
    with grpc.insecure_channel(bound) as channel:
        for encoding in (1, 2, 3):
            for rows in (assets[:1], assets):
                request = features_pb2.GetFeaturesRequest(feature_service="all", encoding=encoding)
                request.entities.add(name="asset_id").strings.values.extend(rows)
                reply = features_pb2_grpc.FeatureServiceStub(channel).GetFeatures(request)
                said.append(reply.rows)
    for asked in ({"feature_service": "all"}, {"features": ["more:zone", "pumps:a_string"]}):
        body = json.dumps({**asked, "entities": {"asset_id": assets}, "full_feature_names": True}).encode()
        reply = json.load(urllib.request.urlopen(f"http://{http}/get-online-features", body))
        said.append([column["values"] for column in reply["results"]][-2:])
heavy = ("pandas", "feast", "great_expectations", "evidently", "pyflink", "xgboost", "matplotlib", "scipy.stats")
heavy += ("prometheus_client", "deltalake", "alembic", "sqlalchemy.dialects.postgresql")
print(json.dumps({"said": said, "imported": [name for name in heavy if name in sys.modules]}))
"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Run a Valkey with a row of values, one of nulls, and one of long ago."""
    with embedded_server(tmp_path / "online") as running:
        schema = row_schema(VIEW)
        values = (1.5, 3.0, 4, 5, True, "läuft", b"\x00", 7)
        times = [99_000_000, 99_000_000, 1_000_000]
        columns = [["whole", "null", "stale"], times, times, *([v, None, v] for v in values)]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        RedisOnlineStore(running, project="dev", timeout_s=5.0).write(VIEW, pa.Table.from_arrays(arrays, schema=schema))
        yield running


def test_no_answer_waits_for_a_heavy_import(url: str) -> None:
    """Values of every type, nulls, texts and on-demand features, by gRPC in three encodings and by HTTP."""
    command = [sys.executable, "-c", CHILD, url, VIEW.to_json(), SERVICE.to_json()]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        '{"said": [1, 4, 1, 4, 1, 4, [[0.375, null, null, null], ["C", null, null, null]], '
        '[["C", null, null, null], ["l\\u00e4uft", null, null, null]]], "imported": []}'
    )


def test_a_server_that_is_ready_holds_at_most_150_mb(tmp_path: Path) -> None:
    """A real `lineshaft serve` on a database that is up to date: resident when it is ready; 3,000 calls add little."""
    with plant_at(tmp_path, workers=1) as plant, Client(plant.address) as client:
        process = psutil.Process(plant.server.pid)
        held = [process.memory_info().rss]
        end = time.monotonic() + 30.0
        for number in range(3000):
            frame = client.features("drill", {"asset_id": [machine((number + i) % 200) for i in range(10)]})
            assert frame.table.num_columns == 1 + sum(len(view.features) for view in VIEWS)
            assert time.monotonic() < end
        held.append(process.memory_info().rss)

    assert held[0] <= 150_000_000, held
    assert held[1] <= held[0] + 5_000_000, held
