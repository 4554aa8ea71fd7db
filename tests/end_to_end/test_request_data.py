"""Numbers that a request says itself, read by on-demand features: over every contract, and in training sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, LineshaftError
from lineshaft.ops.served import Audit
from lineshaft.ops.served_tally import Tally
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc, types_pb2
from lineshaft.serving.client import Client
from lineshaft.serving.convert import column_to, entities_to
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.served_log import ServedAnswers
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.specs import (
    Feature,
    OnDemandFeature,
    OnDemandView,
    Service,
    ServiceView,
    Source,
    Status,
    View,
    row_schema,
)
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.served_log import ServedLog

pytest.importorskip("feast")
pytestmark = pytest.mark.filterwarnings("ignore")

MINUTE_US = 60_000_000
NOW_US = 1_767_225_600_000_000
DRIVES = View(
    name="drives",
    source=Source(name="s", channels=("x",), units=("A",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="current"),),
    ttl_us=60 * MINUTE_US,
)
FEATURES = (
    OnDemandFeature(name="share", function="ratio", inputs=("drives__current", "rated")),
    OnDemandFeature(name="over", function="difference", inputs=("drives__current", "expected")),
    OnDemandFeature(name="steps", function="difference", inputs=("count", "drives__current")),
)
LOADED = OnDemandView(
    name="loaded",
    features=FEATURES,
    request_fields=(("rated", "float64"), ("expected", "float32"), ("count", "int64")),
)
USED = (ServiceView(view="drives", version=DRIVES.version, features=("current",)),)
DRIVE = Service(name="drive", views=USED, on_demand=(LOADED,))
PLAIN = Service(name="plain", views=USED)
COMPUTED = ["loaded__share", "loaded__over", "loaded__steps"]
ASSETS = ["d0", "d1", "d2", "nobody", "d0"]
GIVEN: dict[str, list[Any]] = {
    "rated": [4.0, 8.0, 8.0, 8.0, None],
    "expected": [0.1, 1.5, 1.5, 1.5, 0.25],
    "count": [7, 8, 9, 10, 11],
}
SHARES = [0.75, None, None, None, None]
STATUSES = [Status.PRESENT, Status.NULL, Status.STALE, Status.NOT_FOUND, Status.NULL]
FEAST_WORDS = ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND", "NULL_VALUE"]


@dataclass(frozen=True)
class Place:
    """A server of both contracts, the log of what it said, and the store to hold it against."""

    address: str
    url: str
    offline: MemoryOfflineStore
    log: ServedLog
    sink: ServedAnswers

    def audit(self) -> Tally:
        """Check all that was served so far."""
        self.sink.behind.close()
        audit = Audit(offline=self.offline, held=lambda view: row_schema(view).empty_table(), now_us=NOW_US)
        return sum((tally for _, tally in audit.check(self.log)), Tally())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Serve one drive with a current, one with a null, one of long ago."""
    schema = row_schema(DRIVES)
    event_us = [NOW_US - MINUTE_US, NOW_US - MINUTE_US, NOW_US - 61 * MINUTE_US]
    columns = [["d0", "d1", "d2"], event_us, event_us, [3.0, None, 5.0]]
    rows = pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    offline = MemoryOfflineStore()
    offline.write_rows(DRIVES, rows, batch="1")
    clock, log = ManualClock(time_us=NOW_US), ServedLog(str(tmp_path / "log"))
    with embedded_server(tmp_path / "online") as redis:
        online = RedisOnlineStore(redis, project="dev", timeout_s=5.0)
        online.write(DRIVES, rows)
        plans = Plans(catalog=FixedCatalog(all_views=(DRIVES,), all_services=(DRIVE, PLAIN), all_on_demand=(LOADED,)))
        sink = ServedAnswers(log, clock=clock, every_s=60.0)
        handlers = Handlers(
            plans=plans,
            features=FeatureHandler(plans=plans, online=online, clock=clock, log=sink),
            training=TrainingSetHandler(plans=plans, offline=offline),
        )
        limits = Limits(store_timeout_s=5.0)
        with (
            background_server(handlers, limits=limits) as bound,
            feast_http(handlers, "127.0.0.1:0", limits=limits) as http,
        ):
            yield Place(address=bound, url=f"http://{http}", offline=offline, log=log, sink=sink)


Told = dict[str, tuple[list[Any], list[Any]]]
"""By column: values, and statuses as numbers or in Feast's words."""


def own(place: Place, given: Mapping[str, Sequence[Any]], assets: Sequence[str] = ASSETS) -> Told:
    """Ask by our own call."""
    with Client(place.address) as client:
        frame = client.features("drive", {"asset_id": assets, **given})
    table = frame.to_arrow()
    return {name: (table[name].to_pylist(), frame.statuses[name].tolist()) for name in COMPUTED}


def feast_grpc(place: Place, given: Mapping[str, Sequence[Any]], *, context: bool = False) -> Told:
    """Ask by Feast's call, with the numbers among the entities or in the request's context."""
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesRequest
    from feast.protos.feast.types.Value_pb2 import Value

    fields = {str: "string_val", int: "int64_val", float: "double_val"}
    request = GetOnlineFeaturesRequest(feature_service="drive", full_feature_names=True)
    request.entities["asset_id"].val.extend(Value(string_val=asset) for asset in ASSETS)
    for name, values in given.items():
        target = request.request_context if context else request.entities
        target[name].val.extend(Value(**({} if v is None else {fields[type(v)]: v})) for v in values)
    with grpc.insecure_channel(place.address) as channel:
        reply = GrpcFeatureServerStub(channel).GetOnlineFeatures(request)
    columns = dict(zip(reply.metadata.feature_names.val, reply.results, strict=True))
    assert not set(given) & set(columns)
    return {
        name: (
            [value.double_val if value.WhichOneof("val") else None for value in columns[name].values],
            [FieldStatus.Name(status) for status in columns[name].statuses],
        )
        for name in COMPUTED
    }


def feast_json(place: Place, given: Mapping[str, Sequence[Any]], **asked: Any) -> httpx.Response:
    """Ask over Feast's HTTP."""
    body = {"feature_service": "drive", "entities": {"asset_id": ASSETS, **given}, "full_feature_names": True, **asked}
    return httpx.post(f"{place.url}/get-online-features", content=json.dumps(body))


def training(place: Place, given: Mapping[str, Sequence[Any]]) -> Told:
    """Ask for a training set of the moment that servers answer about."""
    moments = pa.array([NOW_US] * len(ASSETS), pa.timestamp("us", tz="UTC"))
    entities = pa.table({"asset_id": ASSETS, "event_time": moments, **{n: pa.array(v) for n, v in given.items()}})
    with Client(place.address) as client:
        (frame,) = client.training_set("drive", entities)
    table = frame.to_arrow()
    return {name: (table[name].to_pylist(), frame.statuses[name].tolist()) for name in COMPUTED}


def test_every_contract_and_the_training_set_answer_alike(place: Place) -> None:
    """Value for value: fractions, float32 and whole numbers, a null, and inputs that are null, stale or not found."""
    trained = training(place, GIVEN)
    reply = feast_json(place, GIVEN).json()
    columns = dict(zip(reply["metadata"]["feature_names"], reply["results"], strict=True))

    assert trained["loaded__share"] == (SHARES, STATUSES)
    assert trained["loaded__over"][0][0] == 3.0 - float(np.float32(0.1)), "a field has the type it was declared with"
    assert trained["loaded__steps"][0] == [4.0, None, None, None, 8.0]
    assert own(place, GIVEN) == trained
    by_entities, by_context = feast_grpc(place, GIVEN), feast_grpc(place, GIVEN, context=True)
    assert by_entities == by_context
    assert by_entities["loaded__share"] == (SHARES, FEAST_WORDS)
    assert {name: values for name, (values, _) in by_entities.items()} == {n: v for n, (v, _) in trained.items()}
    for name in COMPUTED:
        assert (columns[name]["values"], columns[name]["statuses"]) == by_entities[name]
    assert list(columns) == ["asset_id", "drives__current", *COMPUTED], "what was given is not answered"


def test_references_need_only_what_their_features_read(place: Place) -> None:
    """A field of the view that no feature asked for reads need not be given, and is refused where it is."""
    narrow = {"feature_service": None, "features": ["loaded:share"]}

    answered = feast_json(place, {"rated": GIVEN["rated"]}, **narrow)
    refused = feast_json(place, {name: GIVEN[name] for name in ("rated", "expected")}, **narrow)

    assert answered.json()["results"][1]["values"] == SHARES
    assert refused.status_code == 400
    assert "expected" in refused.json()["detail"]


def test_a_stream_and_a_watch_take_request_data_too(place: Place) -> None:
    """Both are asked as GetFeatures is; a refused question of a stream is answered by its refusal."""
    full = {"asset_id": ASSETS, **GIVEN}
    with Client(place.address) as client:
        first, second = list(client.stream("drive", [full, {"asset_id": ASSETS}]))
        watched = next(client.watch("drive", full))

    assert isinstance(second, InputError)
    assert not isinstance(first, LineshaftError)
    assert first.to_arrow()["loaded__share"].to_pylist() == SHARES
    assert watched.to_arrow()["loaded__share"].to_pylist() == SHARES


REFUSED: dict[str, tuple[dict[str, list[Any] | None], str]] = {
    "a field that is missing": ({"rated": None}, "rated"),
    "a whole number that is none": ({"count": [7, 8, 9, 10, 11.5]}, "count"),
    "a text": ({"rated": ["4"] * 5}, "rated"),
    "too few": ({"rated": [4.0]}, "different length"),
    "what nothing reads": ({"torque": [1.5] * 5}, "torque"),
    "more than 32 bits say": ({"expected": [2**60 + 1] * 5}, "expected"),
}


def changed(change: Mapping[str, list[Any] | None]) -> dict[str, list[Any]]:
    """Return what is given, with a change."""
    return {name: values for name, values in {**GIVEN, **change}.items() if values is not None}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_read_is_refused_by_name(place: Place, case: str) -> None:
    """In every contract as INVALID_ARGUMENT (400), with what and how to mend it; no other call suffers."""
    change, words = REFUSED[case]
    given = changed(change)
    calls: list[Callable[[], Any]] = [
        lambda: feast_grpc(place, given),
        lambda: feast_grpc(place, given, context=True),
    ]
    reply = feast_json(place, given)

    assert reply.status_code == 400
    assert words in reply.json()["detail"]
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert words in str(caught.value)
    if case != "too few":  # our own client does not send that
        with pytest.raises(InputError, match=words) as refused:
            own(place, given)
        assert refused.value.fix
    assert own(place, GIVEN)["loaded__share"] == (SHARES, STATUSES)


@pytest.mark.parametrize("case", ["a field that is missing", "a whole number that is none", "a text"])
def test_training_sets_refuse_what_serving_refuses(place: Place, case: str) -> None:
    """The entity rows hold the fields under their names; other columns are carried along, as labels are."""
    change, words = REFUSED[case]

    with pytest.raises(InputError, match=words):
        training(place, changed(change))


def test_a_service_that_reads_nothing_of_the_request_refuses_data(place: Place) -> None:
    """It is not dropped in silence, and a fraction is no key."""
    with Client(place.address) as client:
        with pytest.raises(InputError, match="rated"):
            client.features("plain", asset_id=["d0"], rated=[4.0])
        with pytest.raises(InputError, match="asset_id"):
            client.features("plain", asset_id=[1.5])
        assert client.features("plain", asset_id=["d0"]).to_arrow()["drives__current"].to_pylist() == [3.0]


def test_bytes_that_lie_about_their_length_are_refused(place: Place) -> None:
    """Values cut off, validity of another length, a column twice, a column of text, one that is a key as well."""
    sound = column_to("rated", pa.array([4.0]), None)
    others = [column_to(name, pa.array([1.0]), None) for name in ("expected", "count")]
    lies = [
        types_pb2.Column(name="rated", type=sound.type, values=sound.values + b"\0"),
        types_pb2.Column(name="rated", type=sound.type, values=sound.values, validity=b"\1\1"),
        types_pb2.Column(name="rated", type=types_pb2.DATA_TYPE_STRING, values=b"4", offsets=b"\0" * 8),
        types_pb2.Column(name="rated", type=cast("Any", 99), values=sound.values),
    ]
    asked = entities_to(pa.table({"asset_id": ["d0"]}))
    key = types_pb2.Column(name="asset_id", type=sound.type, values=sound.values)
    with grpc.insecure_channel(place.address) as channel:
        stub = features_pb2_grpc.FeatureServiceStub(channel)

        def ask(*given: types_pb2.Column) -> Any:
            request = features_pb2.GetFeaturesRequest(
                feature_service="drive", entities=asked, request_data=[*others, *given]
            )
            return stub.GetFeatures(request)

        assert ask(sound).rows == 1
        for given in ([sound, sound], [sound, key], *([lie] for lie in lies)):
            with pytest.raises(grpc.RpcError) as caught:
                ask(*given)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert given[-1].name in str(caught.value)


def test_what_was_served_is_made_again_from_what_was_given(place: Place) -> None:
    """The log keeps the request's numbers: every value is recomputed, and a change of them in the log is found."""
    own(place, GIVEN)
    feast_grpc(place, GIVEN, context=True)
    tally = place.audit()

    assert (tally.vectors, tally.differing, tally.missing) == (10, 0, 0)
    assert tally.values == 10 * 4
    (recipe,) = place.log.recipes()
    rows = pa.concat_tables(place.log.read(recipe))
    assert rows["request"].combine_chunks().field("count").to_pylist() == [*GIVEN["count"], *GIVEN["count"]]
    forged = pa.StructArray.from_arrays(
        [pa.array([4.5] * 10), *rows["request"].combine_chunks().flatten()[1:]], fields=list(rows["request"].type)
    )
    place_of = rows.column_names.index("request")
    audit = Audit(offline=place.offline, held=lambda view: row_schema(view).empty_table(), now_us=NOW_US)
    assert audit.check_rows(recipe, rows.set_column(place_of, "request", forged)).differing == 4


def test_a_listing_says_what_to_give(place: Place) -> None:
    """The fields of a service stand beside its join keys."""
    with Client(place.address) as client:
        services = {service.name: service.request_fields for service in client.services()}

    assert services == {"drive": ["rated", "expected", "count"], "plain": []}
