"""The server on a real socket, over a real Valkey and real Parquet: what a client in any language meets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError, UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.client import Client
from lineshaft.serving.convert import entities_to
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.frames import frame_from
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Found, Wanted

MINUTE_US = 60_000_000
START_US = 1_767_225_600_000_000
ENCODINGS = (features_pb2.ENCODING_COLUMNS, features_pb2.ENCODING_ARROW, features_pb2.ENCODING_BLOCKS)
SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(
    name="pumps",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(Feature(name="rms"), Feature(name="starts", dtype="int64"), Feature(name="state", dtype="string")),
    ttl_us=60 * MINUTE_US,
)
SITES = View(
    name="sites",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="ambient"), Feature(name="indoors", dtype="bool")),
)
SERVICE = Service(
    name="pump_health",
    views=(
        ServiceView(view="pumps", version=PUMPS.version, features=("rms", "starts", "state")),
        ServiceView(view="sites", version=SITES.version, features=("ambient", "indoors")),
    ),
    team="vibration",
    owner="ann@example.com",
)


class FaultyCatalog(FixedCatalog):
    """Two views and one service, and one that fails in a way nobody thought of."""

    def service(self, name: str, version: str | None = None) -> Service:
        """Return the service, if it is that one."""
        if name == "broken":
            raise ZeroDivisionError("a fault nobody thought of")
        return super().service(name, version)


@dataclass(slots=True)
class SlowStore:
    """An online store that takes its time, and remembers how much it was given."""

    inner: RedisOnlineStore
    delay_s: float = 0.0
    given_s: list[float | None] = field(default_factory=list)

    def read_at_once(self, wanted: Sequence[Wanted], *, budget_s: float) -> list[Found] | None:
        """Say that it has to be waited for."""
        return None

    def read(self, wanted: Sequence[Wanted], *, timeout_s: float | None = None) -> list[Found]:
        """Wait, then read."""
        self.given_s.append(timeout_s)
        time.sleep(self.delay_s)
        return self.inner.read(wanted, timeout_s=5.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(frozen=True, slots=True)
class Place:
    """A running server with what stands behind it."""

    address: str
    online: SlowStore
    offline: DeltaOfflineStore
    clock: ManualClock
    handlers: Handlers


def table_of(view: View, columns: Sequence[Any]) -> pa.Table:
    """Return rows of a view."""
    schema = row_schema(view)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def rows() -> list[tuple[View, pa.Table]]:
    """Return an hour of rows: pump p0 has one each minute, p1 one undefined value, site p0 one row."""
    ticks = [START_US + i * MINUTE_US for i in range(60)]
    pumps = table_of(
        PUMPS,
        [
            ["p0"] * 60 + ["p1"],
            ["de"] * 61,
            [*ticks, ticks[0]],
            [t + 1 for t in ticks] + [ticks[0] + 1],
            [*np.sqrt(np.arange(60.0)).tolist(), None],
            [2**53 + i for i in range(60)] + [7],
            ["läuft"] * 60 + [None],
        ],
    )
    return [(PUMPS, pumps), (SITES, table_of(SITES, [["p0"], [START_US], [START_US + 1], [-0.0], [True]]))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Start everything once, with the same rows online and offline."""
    folder = tmp_path_factory.mktemp("grpc")
    with embedded_server(folder / "online") as url:
        online = SlowStore(RedisOnlineStore(url, project="test", timeout_s=5.0))
        offline = DeltaOfflineStore(str(folder / "offline"))
        for view, table in rows():
            online.inner.write(view, table)
            offline.write_rows(view, table, batch="all")
        clock = ManualClock(time_us=START_US + 59 * MINUTE_US + 30_000_000)
        plans = Plans(catalog=FaultyCatalog(all_views=(PUMPS, SITES), all_services=(SERVICE,)))
        handlers = Handlers(
            plans=plans,
            features=FeatureHandler(plans=plans, online=online, clock=clock),
            training=TrainingSetHandler(plans=plans, offline=offline),
        )
        with background_server(handlers, limits=Limits(store_timeout_s=2.0, max_concurrent_calls=8)) as address:
            yield Place(address, online, offline, clock, handlers)


@pytest.fixture
def client(place: Place) -> Iterator[Client]:
    """Return a connected client; the store is quick again afterwards."""
    with Client(place.address) as connected:
        yield connected
    place.online.delay_s = 0.0


def test_values_statuses_and_ages_come_in_columns(client: Client) -> None:
    """Every kind of value, every status, and the age of every row arrive as they were stored."""
    frame = client.features("pump_health", asset_id=["p0", "p1", "nobody"], position=["de", "de", "de"])

    table = frame.to_arrow()
    assert table.column_names == [
        *("asset_id", "position", "pumps__rms", "pumps__starts", "pumps__state", "sites__ambient", "sites__indoors")
    ]
    assert table["pumps__rms"].to_pylist() == [np.sqrt(59.0), None, None]
    assert table["pumps__starts"].to_pylist() == [2**53 + 59, 7, None]
    assert table["pumps__state"].to_pylist() == ["läuft", None, None]
    assert np.signbit(table["sites__ambient"].to_pylist()[0])
    assert table["sites__indoors"].to_pylist() == [True, None, None]
    assert frame.statuses["pumps__rms"].tolist() == [Status.PRESENT, Status.NULL, Status.NOT_FOUND]
    assert frame.statuses["sites__indoors"].tolist() == [Status.PRESENT, Status.NOT_FOUND, Status.NOT_FOUND]
    assert frame.ages["pumps"].tolist() == [30_000_000, 59 * MINUTE_US + 30_000_000, -1]
    assert frame.view_versions == {"pumps": PUMPS.version, "sites": SITES.version}
    assert frame.degraded is False


def stale(address: str, encoding: int) -> features_pb2.GetFeaturesResponse:
    """Ask for a pump when its row is long past its ttl."""
    request = features_pb2.GetFeaturesRequest(feature_service="pump_health", at_us=START_US + 200 * MINUTE_US)
    request.encoding = encoding  # type: ignore[assignment]
    request.entities.add(name="asset_id").strings.values.append("p0")
    request.entities.add(name="position").strings.values.append("de")
    with grpc.insecure_channel(address) as channel:
        reply: features_pb2.GetFeaturesResponse = features_pb2_grpc.FeatureServiceStub(channel).GetFeatures(request)
    return reply


def test_what_is_stale_is_withheld_even_under_the_null(place: Place) -> None:
    """A value older than its view's ttl does not leave the server, not even where a careless client might look."""
    by_name = {column.name: column for column in stale(place.address, features_pb2.ENCODING_COLUMNS).columns}
    reply = stale(place.address, features_pb2.ENCODING_ARROW)

    assert list(by_name["pumps__rms"].statuses) == [Status.STALE]
    assert np.isnan(np.frombuffer(by_name["pumps__rms"].values, "<f8")).all()
    assert by_name["pumps__state"].values == b""
    assert np.float64(np.sqrt(59.0)).tobytes() not in reply.batch
    assert "läuft".encode() not in reply.batch
    assert np.frombuffer(reply.views[0].ages_us, "<i8").tolist() == [(200 - 59) * MINUTE_US]
    assert [one.name for one in reply.statuses] == ["pumps__rms", "pumps__starts", "pumps__state"]


@pytest.mark.parametrize("minutes", [60, 200])
def test_all_encodings_hold_the_same(place: Place, minutes: int) -> None:
    """Columns, Arrow and blocks carry the same values, statuses and ages, fresh or stale, whole or in part."""
    entities = pa.table({"asset_id": ["p0", "nobody", "p1"], "position": ["de"] * 3})
    request = features_pb2.GetFeaturesRequest(
        feature_service="pump_health", entities=entities_to(entities), at_us=START_US + minutes * MINUTE_US
    )
    frames = []
    with grpc.insecure_channel(place.address) as channel:
        for request.encoding in ENCODINGS:
            frames.append(frame_from(entities, features_pb2_grpc.FeatureServiceStub(channel).GetFeatures(request)))

    for frame in frames[1:]:
        frame.table.validate(full=True)
        assert frame.table.equals(frames[0].table)
        assert repr(frame.statuses) == repr(frames[0].statuses)
        assert repr(frame.ages) == repr(frames[0].ages)


def test_what_is_withheld_does_not_leave_in_blocks(place: Place) -> None:
    """A stale row's values are nowhere in the bytes of an answer in blocks; its statuses are."""
    reply = stale(place.address, features_pb2.ENCODING_BLOCKS)

    raw = reply.SerializeToString()
    assert np.float64(np.sqrt(59.0)).tobytes() not in raw
    assert "läuft".encode() not in raw
    assert np.frombuffer(reply.value_statuses, np.int8).tolist()[:3] == [Status.STALE] * 3


def test_a_training_set_holds_the_bits_that_serving_gave(client: Client, place: Place) -> None:
    """At each moment, the streamed training set equals what GetFeatures answered then."""
    asked = [START_US + i * MINUTE_US + 10 for i in range(60)]
    entities = pa.table(
        {
            "asset_id": ["p0", "p1", "nobody"] * 20,
            "position": ["de"] * 60,
            "event_time": pa.array(asked, pa.timestamp("us", tz="UTC")),
            "label": list(range(60)),
        }
    )
    last = entities.slice(57).drop_columns(["event_time", "label"])

    whole = client.training_set("pump_health", entities).to_arrow()
    now = client.features("pump_health", last, at_us=asked[-1]).to_arrow()

    assert whole["label"].to_pylist() == list(range(60))
    features = [name for name in now.column_names if "__" in name]
    then = client.training_set(
        "pump_health",
        entities.slice(57).set_column(2, "event_time", pa.array([asked[-1]] * 3, pa.timestamp("us", tz="UTC"))),
    )
    assert then.to_arrow().select(features).equals(now.select(features))
    assert place.offline.version(PUMPS) >= 0


def test_a_long_training_set_comes_in_parts_in_order(client: Client) -> None:
    """A hundred thousand rows arrive as many messages, none of them large, in the order they were sent."""
    n = 100_000
    moments = pa.array(START_US + np.arange(n) % 60 * MINUTE_US, pa.timestamp("us", tz="UTC"))
    entities = pa.table({"asset_id": ["p0"] * n, "position": ["de"] * n, "event_time": moments, "row": np.arange(n)})

    parts = list(client.training_set("pump_health", entities))

    assert len(parts) > 1
    assert pa.concat_tables([part.table for part in parts])["row"].to_pylist() == list(range(n))
    assert all(len(part.statuses["pumps__rms"]) == len(part.ages["pumps"]) == part.table.num_rows for part in parts)


def test_frames_open_in_pandas_and_polars(client: Client) -> None:
    """The three ways out hold the same values."""
    frame = client.features("pump_health", asset_id=["p0"], position=["de"])

    assert frame.to_pandas()["pumps__starts"].tolist() == [2**53 + 59]
    assert frame.to_polars()["pumps__starts"].to_list() == [2**53 + 59]


def test_services_say_what_a_request_must_give(client: Client) -> None:
    """The list names keys, columns, versions and whom to ask."""
    (service,) = client.services()

    assert service.join_keys == ["asset_id", "position"]
    assert service.columns[0] == "pumps__rms"
    assert (service.team, service.owner) == ("vibration", "ann@example.com")
    assert service.view_versions["pumps"] == PUMPS.version


@pytest.mark.parametrize(
    ("service", "keys", "kind", "words"),
    [
        ("nothing", {"asset_id": ["p0"], "position": ["de"]}, NotFoundError, "service"),
        ("pump_health", {"asset_id": ["p0"]}, InputError, "position"),
        ("pump_health", {"asset_id": ["p0"], "position": ["de", "nde"]}, InputError, "different length"),
        ("pump_health", {"asset_id": ["p0"] * 10_001, "position": ["de"] * 10_001}, InputError, "10000"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_how_to_mend_it(
    client: Client, service: str, keys: dict[str, list[str]], kind: type[Exception], words: str
) -> None:
    """Errors of the server are raised at the caller as they were, with their remedy."""
    with pytest.raises(kind, match=words) as caught:
        client.features(service, **keys)  # type: ignore[arg-type]

    assert getattr(caught.value, "fix", "-")


def test_an_unknown_fault_leaves_as_an_id_and_nothing_else(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is INTERNAL with an id that the log knows; no word of it reaches the caller."""
    with pytest.raises(UnavailableError, match="unexpected error") as caught:
        client.features("broken", asset_id=["p0"], position=["de"])

    identity = caught.value.what.rsplit(" ", 1)[1]
    assert "nobody thought of" not in str(caught.value)
    assert any(identity in record.getMessage() for record in caplog.records)


def test_nonsense_is_an_error_of_the_caller(place: Place) -> None:
    """Bytes that are no Arrow stream, columns without values or given twice are INVALID_ARGUMENT."""
    with grpc.insecure_channel(place.address) as channel:
        stub = features_pb2_grpc.FeatureServiceStub(channel)
        bare = features_pb2.GetFeaturesRequest(feature_service="pump_health")
        bare.entities.add(name="asset_id")
        twice = features_pb2.GetFeaturesRequest(feature_service="pump_health")
        for _ in range(2):
            twice.entities.add(name="asset_id").strings.values.append("p0")
        noise = features_pb2.GetTrainingSetRequest(feature_service="pump_health", entities=b"\x00noise" * 40)
        calls = (
            lambda: stub.GetFeatures(bare),
            lambda: stub.GetFeatures(twice),
            lambda: list(stub.GetTrainingSet(noise)),
        )
        codes = [_code(call) for call in calls]

    assert codes == [grpc.StatusCode.INVALID_ARGUMENT] * 3


def _code(call: Callable[[], Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code()


def test_the_callers_deadline_bounds_the_store(client: Client, place: Place) -> None:
    """The online store is given what the deadline leaves, never more than the server's own limit."""
    place.online.given_s.clear()
    client.features("pump_health", asset_id=["p0"], position=["de"], timeout_s=0.5)
    client.features("pump_health", asset_id=["p0"], position=["de"], timeout_s=60.0)

    short, long = place.online.given_s
    assert short is not None
    assert 0.0 < short < 0.5
    assert long == 2.0


def test_calls_beyond_the_limit_are_refused_at_once(place: Place) -> None:
    """Above its number of concurrent calls the server says RESOURCE_EXHAUSTED instead of queueing."""
    place.online.delay_s = 0.5
    entities = entities_to(pa.table({"asset_id": ["p0"], "position": ["de"]}))
    request = features_pb2.GetFeaturesRequest(feature_service="pump_health", entities=entities)
    with grpc.insecure_channel(place.address) as channel:
        stub = features_pb2_grpc.FeatureServiceStub(channel)
        calls = [stub.GetFeatures.future(request, timeout=10) for _ in range(24)]
        codes = [call.exception().code() if call.exception() else grpc.StatusCode.OK for call in calls]
    place.online.delay_s = 0.0
    assert codes.count(grpc.StatusCode.OK) >= 8
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 24 - codes.count(grpc.StatusCode.OK) > 0


def test_health_and_reflection_answer(place: Place) -> None:
    """Standard tools find out that the server serves, and what."""
    with grpc.insecure_channel(place.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        states = [
            health.Check(health_pb2.HealthCheckRequest(service=name)).status
            for name in ("", "lineshaft.rpc.v1.FeatureService")
        ]
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
    assert states == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert "lineshaft.rpc.v1.FeatureService" in {one.name for one in answer.list_services_response.service}


def test_stopping_finishes_what_is_in_flight(place: Place) -> None:
    """A call that had begun when the server was told to stop is answered; the next finds nobody."""
    place.online.delay_s = 0.6
    started = place.online.given_s.copy()
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        with background_server(place.handlers, limits=Limits(store_timeout_s=2.0)) as address:
            client = stack.enter_context(Client(address))
            call = pool.submit(client.features, "pump_health", asset_id=["p0"], position=["de"])
            while len(place.online.given_s) == len(started):
                time.sleep(0.01)
        frame = call.result()
        with pytest.raises(UnavailableError, match="unavailable"):
            client.services()
    place.online.delay_s = 0.0

    assert frame.table.num_rows == 1
