"""Feast's generated clients on our port: its messages, its method names, and our answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from google.protobuf.descriptor import Descriptor

from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.feast.v1 import serving_pb2
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, Limits, background_server
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
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.online_redis import RedisOnlineStore

pytest.importorskip("feast")
pytestmark = pytest.mark.filterwarnings("ignore")

NOW_US = 1_767_225_600_000_000
SECOND_US = 1_000_000
DTYPES = ("float64", "float32", "int64", "int32", "bool", "string", "bytes", "timestamp")
VALUES = (0.1, 0.5, 2**53 + 1, -7, True, "läuft", b"\x00\xff", NOW_US - 5 * SECOND_US)
SOURCE = Source(name="s", channels=("x",), units=("g",))
PUMPS = View(
    name="pumps",
    source=SOURCE,
    entity_keys=(("asset_id", "string"), ("slot", "int64")),
    features=tuple(Feature(name=f"a_{dtype}", dtype=dtype) for dtype in DTYPES),
    ttl_us=3600 * SECOND_US,
)
SITES = View(
    name="sites",
    source=SOURCE,
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="a_float64"), Feature(name="ambient")),
)
RISE = OnDemandView(
    name="rise",
    features=(
        OnDemandFeature(name="over", function="difference", inputs=("sites__a_float64", "sites__ambient")),
        OnDemandFeature(name="times", function="ratio", inputs=("sites__a_float64", "sites__ambient")),
    ),
)
SERVICE = Service(name="pump", views=(ServiceView(view="pumps", version=PUMPS.version, features=PUMPS.feature_names),))
BOTH = Service(
    name="both",
    views=(
        *SERVICE.views,
        ServiceView(view="sites", version=SITES.version, features=("a_float64", "ambient")),
    ),
    on_demand=(RISE,),
)


def table_of(view: View, columns: Sequence[Sequence[Any]]) -> pa.Table:
    """Return rows of a view."""
    schema = row_schema(view)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve one pump with a value of every type, one of nulls, and a site."""
    folder: Path = tmp_path_factory.mktemp("contract")
    with embedded_server(folder / "online") as url:
        online = RedisOnlineStore(url, project="dev", timeout_s=5.0)
        event_us = NOW_US - 90 * SECOND_US + 7
        times = [[event_us] * 2, [event_us + 1] * 2]
        online.write(PUMPS, table_of(PUMPS, [["p0", "p1"], [1, 2], *times, *([v, None] for v in VALUES)]))
        online.write(SITES, table_of(SITES, [["p0"], [event_us], [event_us], [30.0], [20.0]]))
        catalog = FixedCatalog(all_views=(PUMPS, SITES), all_services=(SERVICE, BOTH), all_on_demand=(RISE,))
        plans = Plans(catalog=catalog)
        features = FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=NOW_US))
        training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
        handlers = Handlers(plans=plans, features=features, training=training)
        with background_server(handlers, limits=Limits(store_timeout_s=5.0)) as bound:
            yield bound


@pytest.fixture(params=["ServingService", "GrpcFeatureServer"])
def call(address: str, request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Return GetOnlineFeatures of one of Feast's two generated clients."""
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub
    from feast.protos.feast.serving.ServingService_pb2_grpc import ServingServiceStub

    stubs: dict[str, Any] = {"ServingService": ServingServiceStub, "GrpcFeatureServer": GrpcFeatureServerStub}
    with grpc.insecure_channel(address) as channel:
        yield stubs[request.param](channel).GetOnlineFeatures


def question(asked: str | Sequence[str], *, full: bool = False, **keys: Any) -> Any:
    """Return Feast's request; keys are texts, whole numbers, floats or None."""
    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
    from feast.protos.feast.types.Value_pb2 import Value

    fields = {str: "string_val", int: "int64_val", float: "double_val"}
    request = GetOnlineFeaturesRequest(full_feature_names=full)
    if isinstance(asked, str):
        request.feature_service = asked
    else:
        request.features.val.extend(asked)
    for name, values in keys.items():
        request.entities[name].val.extend(Value(**({} if v is None else {fields[type(v)]: v})) for v in values)
    return request


def names(reply: Any) -> list[str]:
    """Return the names of an answer's columns."""
    return list(reply.metadata.feature_names.val)


def test_the_messages_are_feasts_field_by_field() -> None:
    """Every field of ours has the number, the kind and the label that Feast gives it; so has every status."""
    from feast.protos.feast.serving import GrpcServer_pb2, ServingService_pb2
    from feast.protos.feast.types import Value_pb2

    def theirs(name: str) -> Descriptor:
        if name == "FeatureVector":
            return ServingService_pb2.GetOnlineFeaturesResponse.FeatureVector.DESCRIPTOR
        homes = (ServingService_pb2, Value_pb2, GrpcServer_pb2)
        return next(getattr(home, name).DESCRIPTOR for home in homes if hasattr(home, name))

    messages = serving_pb2.DESCRIPTOR.message_types_by_name
    for name, ours in messages.items():
        for field in ours.fields:
            other = theirs(name).fields_by_name[field.name]
            same = (other.number, other.type, other.is_repeated, other.containing_oneof is None)
            assert (field.number, field.type, field.is_repeated, field.containing_oneof is None) == same, (
                field.full_name
            )
    assert dict(serving_pb2.FieldStatus.items()) == dict(ServingService_pb2.FieldStatus.items())
    assert len(messages) > 8


def test_a_value_of_every_type_arrives_with_status_and_event_time(call: Callable[[Any], Any]) -> None:
    """By feature service: keys first, values as stored (a timestamp in seconds), nulls and unknown entities as such."""
    reply = call(question("pump", asset_id=["p0", "p1", "nobody"], slot=[1, 2, 3]))

    assert names(reply) == ["asset_id", "slot", *PUMPS.feature_names]
    held = {name: vector.values[0] for name, vector in zip(names(reply), reply.results, strict=True)}
    assert held["asset_id"].string_val == "p0"
    assert held["slot"].int64_val == 1
    found = [getattr(held[f"a_{dtype}"], str(held[f"a_{dtype}"].WhichOneof("val"))) for dtype in DTYPES]
    assert found == [*VALUES[:-1], NOW_US // SECOND_US - 5]
    for vector in reply.results[2:]:
        assert list(vector.statuses) == [1, 2, 3]
        assert [value.WhichOneof("val") for value in vector.values[1:]] == [None, None]
        assert vector.event_timestamps[0].ToMicroseconds() == NOW_US - 90 * SECOND_US + 7
        assert vector.event_timestamps[2].ToMicroseconds() == 0


def test_references_are_answered_in_their_order(call: Callable[[Any], Any]) -> None:
    """Features of two views and an on-demand one, whose inputs are read and not shown."""
    asked = ["rise:over", "pumps:a_int64", "sites:ambient", "pumps:a_int64"]

    reply = call(question(asked, asset_id=["p0", "nobody"], slot=[1, 1]))

    assert names(reply) == ["asset_id", "slot", "over", "a_int64", "ambient"]
    over, number, ambient = reply.results[2:]
    assert [value.double_val for value in over.values] == [10.0, 0.0]
    assert [value.int64_val for value in number.values] == [2**53 + 1, 0]
    assert list(over.statuses) == list(ambient.statuses) == [1, 3]


def test_full_names_carry_the_view(call: Callable[[Any], Any]) -> None:
    """What would be called alike is told apart by its view, and refused without."""
    asked = ["sites:a_float64", "pumps:a_float64"]

    full = call(question(asked, full=True, asset_id=["p0"], slot=[1]))

    assert names(full) == ["asset_id", "slot", "sites__a_float64", "pumps__a_float64"]
    assert [vector.values[0].double_val for vector in full.results[2:]] == [30.0, 0.1]
    code, words = refusal(call, question(asked, asset_id=["p0"], slot=[1]))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "a_float64" in words


def test_the_answer_is_that_of_our_own_call(call: Callable[[Any], Any], address: str) -> None:
    """Values, column by column, equal what our own client gets for the same service."""
    with Client(address) as client:
        own = client.features("both", asset_id=["p0", "p1", "nobody"], slot=[1, 2, 3]).to_arrow()

    reply = call(question("both", full=True, asset_id=["p0", "p1", "nobody"], slot=[1, 2, 3]))

    assert names(reply) == own.column_names
    for name, vector in zip(names(reply), reply.results, strict=True):
        if own.schema.field(name).type != pa.timestamp("us", tz="UTC"):
            kinds = [value.WhichOneof("val") for value in vector.values]
            theirs = [kind and getattr(value, kind) for kind, value in zip(kinds, vector.values, strict=True)]
            assert theirs == own[name].to_pylist(), name


def refusal(call: Callable[[Any], Any], request: Any) -> tuple[grpc.StatusCode, str]:
    """Return the code and all words of a call that is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    error: Any = caught.value
    fix = dict(error.trailing_metadata()).get("lineshaft-fix-bin", b"").decode()
    return error.code(), f"{error.details()} {fix}"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("pomp", "pomp"),
        (["pomps:a_int64"], "there are: pumps"),
        (["pumps:a_int46"], "there are: a_int64"),
        (["rise:ofer"], "there are: over, times"),
    ],
)
def test_what_there_is_not_is_not_found(call: Callable[[Any], Any], asked: str | list[str], words: str) -> None:
    """An unknown service, view or feature is NOT_FOUND; for features with the names there are."""
    code, said = refusal(call, question(asked, asset_id=["p0"], slot=[1]))

    assert code == grpc.StatusCode.NOT_FOUND
    assert words in said


@pytest.mark.parametrize(
    ("asked", "keys", "words"),
    [
        ("pump", {"asset_id": ["p0"]}, "slot"),
        ("pump", {"asset_id": ["p0"], "slot": [1.5]}, "slot"),
        ("pump", {"asset_id": ["p0", None], "slot": [1, 2]}, "asset_id"),
        ("pump", {"asset_id": ["p0", 5], "slot": [1, 2]}, "int64_val, string_val"),
        ("pump", {"asset_id": ["p0", "p1"], "slot": [1]}, "different length"),
        ("pump", {"asset_id": ["p0"] * 10_001, "slot": [1] * 10_001}, "10000"),
        ([], {"asset_id": ["p0"]}, "view:feature"),
        (["pumps"], {"asset_id": ["p0"], "slot": [1]}, "view:feature"),
    ],
)
def test_a_question_that_cannot_be_answered_is_the_callers(
    call: Callable[[Any], Any], asked: str | list[str], keys: dict[str, list[Any]], words: str
) -> None:
    """Keys that are missing, null, mixed or too many, and texts that are no reference, are INVALID_ARGUMENT."""
    code, said = refusal(call, question(asked, full=False, **keys))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert words in said


def test_request_data_is_refused_by_name(call: Callable[[Any], Any]) -> None:
    """No on-demand feature reads data of the request: it is not dropped in silence."""
    request = question("pump", asset_id=["p0"], slot=[1])
    request.request_context["load"].val.add(double_val=3.5)

    code, said = refusal(call, request)

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "load" in said


def test_the_server_says_who_it_is_and_names_its_views(call: Callable[[Any], Any], address: str) -> None:
    """GetFeastServingInfo names us; the views of an answer are listed for those who ask."""
    from feast.protos.feast.serving.ServingService_pb2 import GetFeastServingInfoRequest
    from feast.protos.feast.serving.ServingService_pb2_grpc import ServingServiceStub

    with grpc.insecure_channel(address) as channel:
        assert (
            ServingServiceStub(channel)
            .GetFeastServingInfo(GetFeastServingInfoRequest())
            .version.startswith("lineshaft ")
        )
    request = question("both", full=True, asset_id=["p0"], slot=[1])
    request.include_feature_view_version_metadata = True

    assert [view.name for view in call(request).metadata.feature_view_metadata] == ["pumps", "sites"]
