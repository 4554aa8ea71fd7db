"""Feast's HTTP contract on a port of its own: plain JSON, and a stock Feast SDK that is pointed at it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import EnvironmentFault, InputError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.metrics import Metrics
from lineshaft.serving.server import Handlers, Limits
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

NOW_US = 1_767_225_600_000_000
MINUTE_US = 60_000_000
DTYPES = ("float64", "float32", "int64", "bool", "string", "bytes", "timestamp")
PUMPS = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("slot", "int64")),
    features=tuple(Feature(name=f"a_{dtype}", dtype=dtype) for dtype in DTYPES),
    ttl_us=60 * MINUTE_US,
)
SERVICE = Service(name="pump", views=(ServiceView(view="pumps", version=PUMPS.version, features=PUMPS.feature_names),))
ASKED = {"asset_id": ["p0", "p1", "p2", "nobody"], "slot": [1, 1, 1, 1]}
STATUSES = ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND"]


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handlers]:
    """Answer from a Valkey that knows a pump with values, one with nulls, and one of long ago."""
    folder: Path = tmp_path_factory.mktemp("http")
    with embedded_server(folder / "online") as url:
        online = RedisOnlineStore(url, project="dev", timeout_s=5.0)
        schema = row_schema(PUMPS)
        event_us = [NOW_US - MINUTE_US + 7, NOW_US - MINUTE_US, NOW_US - 61 * MINUTE_US]
        one: list[Any] = [0.1, 0.1, 2**53 + 1, False, "läuft", b"\x00\xff", NOW_US]
        columns = [["p0", "p1", "p2"], [1] * 3, event_us, event_us, *([value, None, value] for value in one)]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        online.write(PUMPS, pa.Table.from_arrays(arrays, schema=schema))
        plans = Plans(catalog=FixedCatalog(all_views=(PUMPS,), all_services=(SERVICE,)))
        features = FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=NOW_US))
        training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
        yield Handlers(plans=plans, features=features, training=training, metrics=Metrics())


@pytest.fixture(scope="module")
def url(handlers: Handlers) -> Iterator[str]:
    """Serve HTTP on a free port."""
    limits = Limits(store_timeout_s=5.0, max_message_bytes=100_000)
    with feast_http(handlers, "127.0.0.1:0", limits=limits) as bound:
        yield f"http://{bound}"


def ask(url: str, **body: Any) -> httpx.Response:
    """Ask for features."""
    return httpx.post(f"{url}/get-online-features", json=body)


def test_values_statuses_and_times_are_feasts_json(url: str) -> None:
    """Keys first; bytes in base64, timestamps in seconds, nulls where nothing is given out, event times in RFC 3339."""
    answer = ask(url, feature_service="pump", entities=ASKED)

    assert answer.status_code == 200
    reply = answer.json()
    columns = dict(zip(reply["metadata"]["feature_names"], reply["results"], strict=True))
    assert list(columns) == ["asset_id", "slot", *PUMPS.feature_names]
    first = [column["values"][0] for column in columns.values()]
    assert first == ["p0", 1, 0.1, 0.10000000149011612, 2**53 + 1, False, "läuft", "AP8=", NOW_US // 1_000_000]
    for name in PUMPS.feature_names:
        assert columns[name]["values"][1:] == [None] * 3
        assert columns[name]["statuses"] == STATUSES
        assert columns[name]["event_timestamps"][0] == "2025-12-31T23:59:00.000007Z"
        assert columns[name]["event_timestamps"][3] == "1970-01-01T00:00:00Z"
    assert columns["slot"]["statuses"] == ["PRESENT"] * 4


def test_references_and_full_names(url: str) -> None:
    """Features referred to come in their order, under the view's name where that is asked for."""
    references = ["pumps:a_string", "pumps:a_float64"]

    reply = ask(url, features=references, entities={"asset_id": ["p0"], "slot": [1]}, full_feature_names=True).json()

    assert reply["metadata"]["feature_names"][2:] == ["pumps__a_string", "pumps__a_float64"]
    assert [column["values"] for column in reply["results"][2:]] == [["läuft"], [0.1]]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"[1]", 400, "no JSON object"),
        (b" " * 100_001, 400, "longer than 100000 bytes"),
        ({"feature_service": "pump"}, 400, "entities"),
        ({"feature_service": "pump", "entities": {"asset_id": "p0"}}, 400, "entities"),
        ({"feature_service": 3, "entities": ASKED}, 400, "feature_service"),
        ({"features": "pumps:a_bool", "entities": ASKED}, 400, "features"),
        ({"entities": ASKED}, 400, "view:feature"),
        ({"feature_service": "pump", "entities": {"asset_id": ["p0", None], "slot": [1, 1]}}, 400, "asset_id"),
        ({"feature_service": "pump", "entities": {"asset_id": ["p0", 5], "slot": [1, 1]}}, 400, "asset_id"),
        ({"feature_service": "pump", "entities": {"asset_id": ["p0"], "slot": [2**63]}}, 400, "64 bits"),
        ({"feature_service": "pump", "entities": {"asset_id": ["p0"], "slot": [True]}}, 400, "slot"),
        ({"feature_service": "pump", "entities": {"asset_id": ["p0"], "slot": [1, 1]}}, 400, "different length"),
        ({"feature_service": "pump", "entities": {"asset_id": ["p0"]}}, 400, "slot"),
        ({"feature_service": "pomp", "entities": ASKED}, 404, "pomp"),
        ({"features": ["pumps:a_boole"], "entities": ASKED}, 404, "a_bool"),
    ],
)
def test_a_refusal_says_what_is_wrong(url: str, body: bytes | dict[str, Any], status: int, words: str) -> None:
    """What cannot be answered is refused in JSON, with what and how to mend it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    answer = httpx.post(f"{url}/get-online-features", content=content)

    assert answer.status_code == status
    refusal = answer.json()
    assert words in " ".join(refusal.values())
    assert refusal["code"].startswith("LS-")
    assert refusal["fix"]


def test_only_the_routes_there_are_answer(url: str) -> None:
    """Health is told; an unknown path is 404, a wrong method 405."""
    assert httpx.get(f"{url}/health").status_code == 200
    assert httpx.get(f"{url}/materialize").status_code == 404
    assert httpx.get(f"{url}/get-online-features").status_code == 405


def test_calls_are_counted_by_route_and_status(url: str, handlers: Handlers) -> None:
    """A refused call counts under the name that gRPC has for its status; a path that nobody serves does not count."""
    assert handlers.metrics is not None
    registry = handlers.metrics.registry
    labels = {"method": "get-online-features", "feature_service": "", "code": "NOT_FOUND"}
    before = registry.get_sample_value("lineshaft_call_seconds_count", labels) or 0.0

    ask(url, feature_service="nothing", entities=ASKED)
    httpx.get(f"{url}/no-such-path")

    assert registry.get_sample_value("lineshaft_call_seconds_count", labels) == before + 1
    counted = {sample.labels.get("method") for metric in registry.collect() for sample in metric.samples}
    assert "no-such-path" not in counted


def test_calls_beyond_the_limit_are_refused_at_once(handlers: Handlers) -> None:
    """What a server does not take on is 429."""
    with feast_http(handlers, "127.0.0.1:0", limits=Limits(max_concurrent_calls=0)) as bound:
        assert ask(f"http://{bound}", feature_service="pump", entities=ASKED).status_code == 429


def test_only_this_machine_is_served(handlers: Handlers) -> None:
    """An address that others could reach is refused, so is one that is taken; none is no port."""
    with pytest.raises(InputError, match="authentication"), feast_http(handlers, "0.0.0.0:0"):
        pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EnvironmentFault, match="cannot listen"), feast_http(handlers, address):
            pass
    with feast_http(handlers, "") as nothing:
        assert nothing == ""


def test_workers_share_the_port(handlers: Handlers) -> None:
    """Several processes of one server listen on one port; when one goes, the others answer."""
    limits = Limits(store_timeout_s=5.0, shared_port=True)
    with feast_http(handlers, "127.0.0.1:0", limits=limits) as first:
        with feast_http(handlers, first, limits=limits) as second:
            assert second == first
        answers = [ask(f"http://{first}", feature_service="pump", entities=ASKED).status_code for _ in range(5)]

    assert answers == [200] * 5


@pytest.mark.filterwarnings("ignore")
def test_a_stock_feast_sdk_reads_through_it(url: str, tmp_path: Path) -> None:
    """`online_store: type: remote` pointed here: by references and by service, values and statuses arrive."""
    feast = pytest.importorskip("feast")
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
    from feast.repo_config import RepoConfig

    kinds = {
        "float64": feast.types.Float64,
        "int64": feast.types.Int64,
        "string": feast.types.String,
    }
    fields = [feast.Field(name=f"a_{dtype}", dtype=kind) for dtype, kind in kinds.items()]
    keys = [
        feast.Entity(name="asset_id", value_type=feast.ValueType.STRING),
        feast.Entity(name="slot", value_type=feast.ValueType.INT64),
    ]
    source = feast.FileSource(name="pump_rows", path=str(tmp_path / "none.parquet"), timestamp_field="event_time")
    view = feast.FeatureView(name="pumps", entities=keys, schema=fields, source=source, ttl=timedelta(hours=1))
    service = feast.FeatureService(name="pump", features=[view])
    store = feast.FeatureStore(
        config=RepoConfig(
            project="dev",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store={"type": "remote", "path": url},
            entity_key_serialization_version=3,
        )
    )
    store.apply([*keys, source, view, service])
    rows = [dict(zip(ASKED, row, strict=True)) for row in zip(*ASKED.values(), strict=True)]

    by_name = store.get_online_features(features=["pumps:a_float64", "pumps:a_string"], entity_rows=rows)
    by_service = store.get_online_features(features=store.get_feature_service("pump"), entity_rows=rows)

    assert by_name.to_dict() == {**ASKED, "a_float64": [0.1, None, None, None], "a_string": ["läuft", None, None, None]}
    assert by_service.to_dict()["a_int64"] == [2**53 + 1, None, None, None]
    assert [FieldStatus.Name(one) for one in by_name.proto.results[2].statuses] == STATUSES
