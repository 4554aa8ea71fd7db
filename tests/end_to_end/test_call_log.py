"""A call has one name: the caller's own or one it is told, and the server's log has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from lineshaft.clock import SystemClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.feast.v1 import serving_pb2
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving.calls import KEY, Call
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

LIST = features_pb2.ListFeatureServicesRequest()
NOTHING = features_pb2.GetFeaturesRequest(feature_service="nothing")


@pytest.fixture
def ended() -> list[tuple[Call, str]]:
    """Collect the calls that a server is told to have ended."""
    return []


@pytest.fixture
def handlers(ended: list[tuple[Call, str]]) -> Handlers:
    """Answer out of an empty catalogue."""
    plans = Plans(catalog=FixedCatalog())
    return Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=MemoryOnlineStore(), clock=SystemClock()),
        training=TrainingSetHandler(plans=plans, offline=MemoryOfflineStore()),
        told=(lambda call, code, _seconds: ended.append((call, code)),),
    )


@pytest.fixture
def channel(handlers: Handlers) -> Iterator[Any]:
    """Connect to a server."""
    with background_server(handlers) as address, grpc.insecure_channel(address) as connected:
        yield connected


def trailing(call: Any) -> dict[str, Any]:
    """Return what a call left in its trailing metadata."""
    return dict(call.trailing_metadata() or ())


def test_who_names_a_call_gets_the_name_back(channel: Any, ended: list[tuple[Call, str]]) -> None:
    """Answered or refused; an answer to a call without a name has none, and costs none."""
    stub = features_pb2_grpc.FeatureServiceStub(channel)
    named = ((KEY, "alarm-17"),)

    _, answered = stub.ListFeatureServices.with_call(LIST, metadata=named)
    _, nameless = stub.ListFeatureServices.with_call(LIST)
    with pytest.raises(grpc.RpcError) as refused:
        stub.GetFeatures(NOTHING, metadata=named)

    assert trailing(answered)[KEY] == trailing(refused.value)[KEY] == "alarm-17"
    assert KEY not in trailing(nameless)
    assert [(call.given, code) for call, code in ended] == [
        ("alarm-17", "OK"),
        ("", "OK"),
        ("alarm-17", "NOT_FOUND"),
    ]


def test_a_refused_call_without_a_name_is_given_one(channel: Any, ended: list[tuple[Call, str]]) -> None:
    """The one it has in the log; a name of Feast's contract stands beside what else is told."""
    get = channel.unary_unary(
        "/feast.serving.ServingService/GetOnlineFeatures",
        request_serializer=serving_pb2.GetOnlineFeaturesRequest.SerializeToString,
    )
    with pytest.raises(grpc.RpcError) as refused:
        get(serving_pb2.GetOnlineFeaturesRequest(feature_service="nothing"))

    told = trailing(refused.value)
    assert told[KEY] == ended[0][0].id
    assert len(told[KEY]) == 32
    assert told["lineshaft-code"] == "LS-NOF"


def test_http_has_the_name_in_a_header(handlers: Handlers, ended: list[tuple[Call, str]]) -> None:
    """By the same rule."""
    body = {"feature_service": "nothing", "entities": {"asset_id": ["a"]}}
    with feast_http(handlers, "127.0.0.1:0") as address:
        refused = httpx.post(f"http://{address}/get-online-features", json=body)
        named = httpx.get(f"http://{address}/health", headers={KEY: "probe-1"})
        nameless = httpx.get(f"http://{address}/health")

    assert (refused.status_code, refused.headers[KEY]) == (404, ended[0][0].id)
    assert named.headers[KEY] == "probe-1"
    assert KEY not in nameless.headers


def test_the_log_of_a_server_is_lines_of_json_on_request(tmp_path: Path) -> None:
    """What a refused caller was told finds its line."""
    environment = {"LINESHAFT_HOME": str(tmp_path), "LINESHAFT_LOG_FORMAT": "json"}
    with subprocess.Popen(
        [sys.executable, "-m", "lineshaft.cli", "serve", "--address", "127.0.0.1:0"],
        env={**os.environ, **environment},  # noqa: TID251 - a copy for the child
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            found = next(m for line in process.stderr if (m := re.search(r"serving on (\S+)", line)))
            with grpc.insecure_channel(found[1]) as channel, pytest.raises(grpc.RpcError) as refused:
                features_pb2_grpc.FeatureServiceStub(channel).GetFeatures(NOTHING)
            process.terminate()
            lines = [json.loads(line) for line in process.stderr if line.startswith("{")]
        finally:
            process.kill()
            EmbeddedValkey(tmp_path / "online").shut_down()

    (line,) = [line for line in lines if line["message"] == "call not answered"]
    assert line["request_id"] == trailing(refused.value)[KEY]
    assert (line["method"], line["code"], line["error"]) == ("GetFeatures", "NOT_FOUND", "LS-NOF")
    assert line["ms"] > 0
