"""Spans of calls, as a collector would get them: part of the caller's trace, with the store's time inside."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from lineshaft.clock import SystemClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc
from lineshaft.serving import convert
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.serving.traces import Traces, exporter_to
from lineshaft.settings import Settings
from lineshaft.specs import Feature, Service, ServiceView, Source, View
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.wiring import connect
from lineshaft.wiring import handlers as wired

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def asked(exporter: SpanExporter, *questions: tuple[str, str], share: float = 1.0) -> None:
    """Serve, ask for services with a traceparent each, and send what spans there are."""
    traces = Traces(exporter, clock=SystemClock(), share=share)
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
    handlers = Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=MemoryOnlineStore(), clock=SystemClock()),
        training=TrainingSetHandler(plans=plans, offline=MemoryOfflineStore()),
        told=(traces,),
    )
    with background_server(handlers) as address, Client(address) as client, grpc.insecure_channel(address) as channel:
        stub = features_pb2_grpc.FeatureServiceStub(channel)
        list(client.stream("health", [{"asset_id": ["a"]}] * 2) if not questions else ())
        for service, parent in questions:
            entities = convert.entities_to(pa.table({"asset_id": ["a"]}))
            request = features_pb2.GetFeaturesRequest(feature_service=service, entities=entities)
            with contextlib.suppress(grpc.RpcError):
                stub.GetFeatures(request, metadata=(("traceparent", parent),) if parent else ())
    traces.close()


def spans_of(*questions: tuple[str, str], share: float = 1.0) -> dict[str, list[Any]]:
    """Return the spans of some questions, by name."""
    exporter = InMemorySpanExporter()
    asked(exporter, *questions, share=share)
    found: dict[str, list[Any]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def test_a_call_is_part_of_its_callers_trace() -> None:
    """With the read of the store and the answer one after the other inside it."""
    found = spans_of(("health", f"00-{TRACE}-{PARENT}-01"))

    (call,) = found["lineshaft.rpc.v1.FeatureService/GetFeatures"]
    (read,), (answer,) = found["store read"], found["answer"]
    assert (f"{call.context.trace_id:032x}", f"{call.parent.span_id:016x}") == (TRACE, PARENT)
    assert call.kind is SpanKind.SERVER
    assert call.attributes["lineshaft.feature_service"] == "health"
    assert call.attributes["rpc.grpc.status_code"] == 0
    assert read.parent.span_id == answer.parent.span_id == call.context.span_id
    assert call.start_time <= read.start_time < read.end_time == answer.start_time < answer.end_time <= call.end_time
    assert call.end_time - call.start_time < 30e9


def test_a_refused_call_is_an_error_with_its_code() -> None:
    """And a stream is one span, however many questions it had."""
    (refused,) = spans_of(("nothing", ""))["lineshaft.rpc.v1.FeatureService/GetFeatures"]
    stream = spans_of()

    assert refused.parent is None
    assert (refused.status.status_code, refused.status.description) == (StatusCode.ERROR, "LS-NOF")
    assert refused.attributes["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert list(stream) == ["lineshaft.rpc.v1.FeatureService/StreamFeatures"]


@pytest.mark.parametrize(("flag", "kept"), [("01", True), ("00", False)])
def test_callers_decide_about_their_own_traces(flag: str, *, kept: bool) -> None:
    """Whatever share of others is kept; junk for a parent is none."""
    junk = "00-xyz"

    assert bool(spans_of(("health", f"00-{TRACE}-{PARENT}-{flag}"), share=0.0)) is kept
    assert spans_of(("health", junk), share=0.0) == {}


def test_spans_go_to_a_file_where_one_is_named(tmp_path: Path) -> None:
    """A line of JSON each; an address is sent to by OTLP."""
    asked(exporter_to(str(tmp_path / "spans.jsonl")), ("health", ""))

    lines = [json.loads(line) for line in (tmp_path / "spans.jsonl").read_text().splitlines()]
    assert {line["name"] for line in lines} >= {"store read", "answer"}
    assert type(exporter_to("http://127.0.0.1:1/v1/traces")).__name__ == "OTLPSpanExporter"


def test_a_setting_turns_them_on(tmp_path: Path) -> None:
    """A server wired with it makes spans, one without has nobody told but its log."""
    home = Settings(home=tmp_path / "home")
    with connect(home.model_copy(update={"traces": str(tmp_path / "s")}), keep_online=False) as parts:
        traced = wired(parts)
        assert [type(one).__name__ for one in traced.told] == ["CallLog", "Traces"]
        assert traced.close is not None
        traced.close()
    with connect(home, keep_online=False) as parts:
        assert [type(one).__name__ for one in wired(parts).told] == ["CallLog"]


def test_who_makes_no_spans_imports_nothing_for_them() -> None:
    """The command that serves, with all it brings."""
    code = "import sys, lineshaft.cli.serve; print([m for m in sys.modules if m.startswith('opentelemetry')])"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert said.stdout.strip() == "[]"
