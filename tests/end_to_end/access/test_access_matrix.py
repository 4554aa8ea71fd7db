"""Who gets what: every call with every kind of credentials, over real sockets, with real tokens and stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lineshaft.access.principal import Role
from lineshaft.access.rules import RULES
from lineshaft.clock import SystemClock
from lineshaft.rpc.feast.v1 import serving_pb2
from lineshaft.rpc.inference.v1 import inference_pb2
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc, predictions_pb2, predictions_pb2_grpc
from lineshaft.serving.convert import arrow_to, entities_to
from lineshaft.serving.door import Door
from lineshaft.serving.feast_http import FeastHttp
from lineshaft.serving.inference_http import InferenceHttp
from lineshaft.serving.server import add_services

NOW = datetime.fromtimestamp(SystemClock().now_us() / 1e6 - 60, tz=UTC).isoformat()
INFERENCE = "/inference.GRPCInferenceService/"
OK, NOBODY, NO = "OK", "UNAUTHENTICATED", "PERMISSION_DENIED"
FEATURES, FEAST, HEALTH = (
    "/lineshaft.rpc.v1.FeatureService/",
    "/feast.serving.ServingService/",
    "/grpc.health.v1.Health/",
)


def features_request(service: str = "ours", rows: int = 1) -> features_pb2.GetFeaturesRequest:
    """Ask for the row, once or often: many entities are answered on a thread, few at once."""
    return features_pb2.GetFeaturesRequest(
        feature_service=service, entities=entities_to(pa.table({"asset_id": ["p0"] * rows}))
    )


def streamed(stub: Any, metadata: Any) -> list[str]:
    """Return the error code of each answer of a stream, '' for an answer without."""
    asked = [features_pb2.StreamFeaturesRequest(number=0, request=features_request())]
    return [reply.refusal.code for reply in stub.StreamFeatures(iter(asked), metadata=metadata, timeout=5)]


def training_request() -> features_pb2.GetTrainingSetRequest:
    """Ask for the row at a time."""
    at = pa.table({"asset_id": ["p0"], "event_time": pa.array([5], pa.timestamp("us"))})
    return features_pb2.GetTrainingSetRequest(feature_service="ours", entities=arrow_to(at))


def get_few(channel: Any, metadata: Any) -> Any:
    """Ask for one entity."""
    features_pb2_grpc.FeatureServiceStub(channel).GetFeatures(features_request(), metadata=metadata, timeout=5)


def get_many(channel: Any, metadata: Any) -> Any:
    """Ask for more entities than are answered at once."""
    stub = features_pb2_grpc.FeatureServiceStub(channel)
    stub.GetFeatures(features_request(rows=1001), metadata=metadata, timeout=5)


def stream(channel: Any, metadata: Any) -> str | None:
    """Ask one question on a stream; a refused question is answered by its refusal."""
    (code,) = streamed(features_pb2_grpc.FeatureServiceStub(channel), metadata)
    return {"": None, "LS-FOR": NO}[code]


def watch_features(channel: Any, metadata: Any) -> None:
    """Ask to be told of changes, and take the first answer."""
    request = features_pb2.WatchFeaturesRequest(request=features_request())
    call = features_pb2_grpc.FeatureServiceStub(channel).WatchFeatures(request, metadata=metadata, timeout=5)
    assert next(call).response.rows == 1
    call.cancel()


def train(channel: Any, metadata: Any) -> None:
    """Read a training set to its end."""
    stub = features_pb2_grpc.FeatureServiceStub(channel)
    list(stub.GetTrainingSet(training_request(), metadata=metadata, timeout=5))


def list_services(channel: Any, metadata: Any) -> str | None:
    """List services: another team sees none of ours."""
    stub = features_pb2_grpc.FeatureServiceStub(channel)
    reply = stub.ListFeatureServices(features_pb2.ListFeatureServicesRequest(), metadata=metadata, timeout=5)
    return None if [one.name for one in reply.feature_services] == ["ours"] else NO


def predict(channel: Any, metadata: Any) -> str | None:
    """Ask for a prediction; INTERNAL is the predictor's own answer to who may ask it."""
    stub = predictions_pb2_grpc.PredictionServiceStub(channel)
    request = predictions_pb2.PredictRequest(model="m", entities=entities_to(pa.table({"asset_id": ["p0"]})))
    try:
        stub.Predict(request, metadata=metadata, timeout=5)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.INTERNAL:
            return None
        raise
    return "ANSWERED"


def inference(method: str, request: Any) -> Callable[[Any, Any], str | None]:
    """Return a call of the Open Inference Protocol; INTERNAL is the predictor's own answer to who may ask it."""

    def call(channel: Any, metadata: Any) -> str | None:
        try:
            channel.unary_unary(INFERENCE + method)(request.SerializeToString(), metadata=metadata, timeout=5)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.INTERNAL:
                return None
            raise
        return None

    return call


def check(channel: Any, metadata: Any) -> None:
    """Ask whether the server is well."""
    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=5)


def watch(channel: Any, metadata: Any) -> None:
    """Ask to be told whether the server is well, and take the first word."""
    call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), metadata=metadata, timeout=5)
    assert next(call).status == health_pb2.HealthCheckResponse.SERVING
    call.cancel()


def reflect(channel: Any, metadata: Any) -> None:
    """Ask which services there are."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    list(stub.ServerReflectionInfo(iter([asked]), metadata=metadata, timeout=5))


def feast(method: str, **asked: Any) -> Callable[[Any, Any], None]:
    """Return a call of Feast's contract."""
    keys = {"asset_id": serving_pb2.RepeatedValue(val=[serving_pb2.Value(string_val="p0")])}
    request = serving_pb2.GetOnlineFeaturesRequest(entities=keys, **asked)

    def call(channel: Any, metadata: Any) -> None:
        channel.unary_unary(method)(request.SerializeToString(), metadata=metadata, timeout=5)

    return call


def push(channel: Any, metadata: Any) -> None:
    """Push a reading."""
    request = serving_pb2.PushRequest(stream_feature_view="s", features={"asset_id": "p0", "event_time": NOW, "x": "1"})
    channel.unary_unary("/GrpcFeatureServer/Push")(request.SerializeToString(), metadata=metadata, timeout=5)


def write(channel: Any, metadata: Any) -> None:
    """Push a row of features."""
    features = {"asset_id": "p0", "event_time": NOW, "level": "1"}
    request = serving_pb2.WriteToOnlineStoreRequest(feature_view_name="lab", features=features)
    method = "/GrpcFeatureServer/WriteToOnlineStore"
    channel.unary_unary(method)(request.SerializeToString(), metadata=metadata, timeout=5)


INFER = inference_pb2.ModelInferRequest(model_name="m")
INFER.inputs.add(name="asset_id", datatype="BYTES", shape=[1], contents={"bytes_contents": [b"p0"]})
BY_REFERENCE = serving_pb2.FeatureList(val=["pumps:rms"])
GRPC: dict[str, tuple[str, Callable[[Any, Any], str | None]]] = {
    "few": (FEATURES + "GetFeatures", get_few),
    "many": (FEATURES + "GetFeatures", get_many),
    "stream": (FEATURES + "StreamFeatures", stream),
    "watch features": (FEATURES + "WatchFeatures", watch_features),
    "train": (FEATURES + "GetTrainingSet", train),
    "list": (FEATURES + "ListFeatureServices", list_services),
    "predict": ("/lineshaft.rpc.v1.PredictionService/Predict", predict),
    "live": (INFERENCE + "ServerLive", inference("ServerLive", inference_pb2.EmptyRequest())),
    "ready": (INFERENCE + "ServerReady", inference("ServerReady", inference_pb2.EmptyRequest())),
    "server": (INFERENCE + "ServerMetadata", inference("ServerMetadata", inference_pb2.EmptyRequest())),
    "model ready": (INFERENCE + "ModelReady", inference("ModelReady", inference_pb2.ModelRequest(name="m"))),
    "model": (INFERENCE + "ModelMetadata", inference("ModelMetadata", inference_pb2.ModelRequest(name="m"))),
    "infer": (INFERENCE + "ModelInfer", inference("ModelInfer", INFER)),
    "feast info": (FEAST + "GetFeastServingInfo", feast(FEAST + "GetFeastServingInfo")),
    "feast": (FEAST + "GetOnlineFeatures", feast(FEAST + "GetOnlineFeatures", feature_service="ours")),
    "feast by reference": (FEAST + "GetOnlineFeatures", feast(FEAST + "GetOnlineFeatures", features=BY_REFERENCE)),
    "feast server": (
        "/GrpcFeatureServer/GetOnlineFeatures",
        feast("/GrpcFeatureServer/GetOnlineFeatures", feature_service="ours"),
    ),
    "feast push": ("/GrpcFeatureServer/Push", push),
    "feast write": ("/GrpcFeatureServer/WriteToOnlineStore", write),
    "check": (HEALTH + "Check", check),
    "watch": (HEALTH + "Watch", watch),
    "reflect": ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", reflect),
}
"""Every call there is; GetFeatures twice, since few entities and many go different ways."""
KEYS = {"asset_id": ["p0"]}
V2 = "/v2/models/{model}"
ASKED = {"inputs": [{"name": "asset_id", "datatype": "BYTES", "shape": [1], "data": ["p0"]}]}
HTTP: dict[str, tuple[str, Any]] = {
    "http": ("POST /get-online-features", {"feature_service": "ours", "entities": KEYS}),
    "http by reference": ("POST /get-online-features", {"features": ["pumps:rms"], "entities": KEYS}),
    "http push": ("POST /push", {"push_source_name": "s", "df": {**KEYS, "event_time": [NOW], "x": [1.0]}}),
    "http write": (
        "POST /write-to-online-store",
        {"feature_view_name": "lab", "df": {**KEYS, "event_time": [NOW], "level": [1.0]}},
    ),
    "http health": ("GET /health", None),
    "v2": ("GET /v2", None),
    "v2 live": ("GET /v2/health/live", None),
    "v2 ready": ("GET /v2/health/ready", None),
    "v2 model": (f"GET {V2}", None),
    "v2 version": (f"GET {V2}/versions/{{version}}", None),
    "v2 model ready": (f"GET {V2}/ready", None),
    "v2 version ready": (f"GET {V2}/versions/{{version}}/ready", None),
    "v2 infer": (f"POST {V2}/infer", ASKED),
    "v2 infer version": (f"POST {V2}/versions/{{version}}/infer", ASKED),
}
"""Every route there is, with what is sent."""
ABOUT_NO_TEAM = ("reflect", "feast info", "server", "v2")
"""Calls that tell nothing of any team: for whoever has a role in one."""
WRITERS = ("writer", "admin", "oidc admin among other groups")
"""Who may push, of those who may read."""
EXPECTED: dict[str, str] = {
    "nothing": NOBODY,
    "empty": NOBODY,
    "another scheme": NOBODY,
    "nonsense": NOBODY,
    "an unknown token": NOBODY,
    "half a token": NOBODY,
    "an expired token": NOBODY,
    "a revoked token": NOBODY,
    "a token of another project": NOBODY,
    "wrong team": NO,
    "reader": OK,
    "writer": OK,
    "admin": OK,
    "reader of every team": OK,
    "oidc reader": OK,
    "oidc admin among other groups": OK,
    "oidc wrong team": NO,
    "oidc no grant": NO,
    "oidc no groups": NO,
    "oidc odd groups": NO,
    "oidc two audiences": OK,
    "oidc expired": NOBODY,
    "oidc not yet valid": NOBODY,
    "oidc without an end": NOBODY,
    "oidc without a subject": NOBODY,
    "oidc wrong audience": NOBODY,
    "oidc without an audience": NOBODY,
    "oidc wrong issuer": NOBODY,
    "oidc without an issuer": NOBODY,
    "oidc alg=none": NOBODY,
    "oidc alg not taken": NOBODY,
    "oidc unsigned": NOBODY,
    "oidc altered": NOBODY,
    "oidc another key": NOBODY,
    "oidc unknown key": NOBODY,
    "oidc public key as secret": NOBODY,
    "oidc published secret": NOBODY,
}
"""What callers of the team's own service get, by what they show; how each is made stands in `conftest.py`."""


def asked_grpc(place: Any, call: Callable[[Any, Any], str | None], header: str | None) -> str:
    """Return the status that a call ends with, or what it says instead."""
    with grpc.insecure_channel(place.grpc) as channel:
        try:
            return call(channel, (("authorization", header),) if header is not None else ()) or OK
        except grpc.RpcError as error:
            return str(error.code().name)


def asked_http(place: Any, route: str, sent: Any, header: str | None) -> str:
    """Return the status of a request by the name that gRPC has for it."""
    method, path = route.format(model="m", version="1").split(" ")
    headers = {"authorization": header} if header is not None else {}
    reply = httpx.request(method, f"http://{place.http}{path}", json=sent, headers=headers)
    assert (reply.status_code == 401) == ("www-authenticate" in reply.headers)
    if path.endswith("/infer") and reply.status_code == 500:
        return OK  # let in: the predictor here has nothing to say to anybody
    return {200: OK, 401: NOBODY, 403: NO}[reply.status_code]


@pytest.mark.parametrize("credentials", EXPECTED)
@pytest.mark.parametrize("name", [*GRPC, *HTTP])
def test_every_call_with_every_kind_of_credentials(place: Any, name: str, credentials: str) -> None:
    """Probes ask without a name, what tells of no team is for whoever has a role, the rest for the team."""
    method, expected = (GRPC | HTTP)[name][0], EXPECTED[credentials]
    if RULES[method] is Role.ANYONE or (name in ABOUT_NO_TEAM and credentials in ("wrong team", "oidc wrong team")):
        expected = OK
    if RULES[method] is Role.WRITER and expected == OK and credentials not in WRITERS:
        expected = NO
    header = place.headers[credentials]

    found = asked_grpc(place, GRPC[name][1], header) if name in GRPC else asked_http(place, *HTTP[name], header)

    assert found == expected


class Recorder:
    """A server that only remembers what it is given to answer."""

    def __init__(self) -> None:
        self.methods: set[str] = set()

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Remember what services answer."""
        self.methods |= {method for handler in handlers for method in vars(handler)["_method_handlers"]}

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> None:
        """Take the same again, in the newer way that generated code knows too."""


def test_everything_that_is_served_has_a_rule_and_a_row_in_the_matrix(place: Any) -> None:
    """Whoever adds a call or a route must say who may make it, and is tested on it; no rule is left over."""
    nothing: Any = None
    recorder = Recorder()
    door = Door()
    add_services(
        recorder,
        place.handlers,
        answers=nothing,
        watching=nothing,
        caller=door.caller,
        alive=health_aio.HealthServicer(),
    )
    served = recorder.methods | set(FeastHttp(answers=nothing).routes)
    served |= set(InferenceHttp(predicting=nothing).routes)

    elsewhere = ("/api/2.0/mlflow", "WEB ")  # in test_mlflow_access.py, and in test_web_access.py of governance
    ours = {name for name in RULES if not any(part in name for part in elsewhere)}
    assert served == ours == {method for method, _ in (GRPC | HTTP).values()}
    assert set(place.headers) == set(EXPECTED)
