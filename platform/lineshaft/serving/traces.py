"""Spans of calls for OpenTelemetry, made when a call has ended: while it is answered, tracing costs it nothing.

From the extra `lineshaft[traces]`; nothing of it is imported unless spans are to go somewhere.
"""

from __future__ import annotations

import time
from pathlib import Path

import grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lineshaft import __version__
from lineshaft.clock import Clock
from lineshaft.serving.calls import Call

_EXPORT_S = 2.0
_CALLERS = TraceContextTextMapPropagator()  # W3C: traceparent and tracestate


class Traces:
    """Be told of calls, and make of each a span, with one for the read of the store and one for the answer inside.

    A call that came with a `traceparent` is part of its caller's trace, and kept if that is; of the others `share` is.
    """

    def __init__(self, exporter: SpanExporter, *, clock: Clock, share: float = 1.0) -> None:
        named = Resource.create({"service.name": "lineshaft", "service.version": __version__})
        self._provider = TracerProvider(resource=named, sampler=ParentBased(TraceIdRatioBased(share)))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("lineshaft")
        self._clock = clock

    def __call__(self, call: Call, code: str, seconds: float) -> None:
        """Make the spans of a call that ended."""
        now_s, end_ns = time.perf_counter(), self._clock.now_us() * 1000
        shown = {key: value for key, value in call.metadata if isinstance(value, str)}
        service, _, method = call.method.strip("/").rpartition("/")
        span = self._tracer.start_span(
            f"{service}/{method}".strip("/"),
            context=_CALLERS.extract(shown),
            kind=SpanKind.SERVER,
            start_time=end_ns - round(seconds * 1e9),
            attributes={
                "rpc.system": "grpc" if service else "http",
                "rpc.service": service,
                "rpc.method": method,
                "rpc.grpc.status_code": _NUMBERS.get(code, 2),
                "lineshaft.feature_service": call.feature_service,
                "lineshaft.degraded": call.degraded,
                "lineshaft.error": call.error,
                "lineshaft.request_id": call.given,
            },
        )
        if code != "OK":
            span.set_status(Status(StatusCode.ERROR, call.error or code))
        if span.is_recording() and call.read_s and not call.lasting:
            began_ns = end_ns - round((now_s - call.read_at_s) * 1e9)
            read_ns, inside = began_ns + round(call.read_s * 1e9), set_span_in_context(span)
            for name, start_ns, stop_ns in (("store read", began_ns, read_ns), ("answer", read_ns, end_ns)):
                self._tracer.start_span(name, context=inside, start_time=start_ns).end(stop_ns)
        span.end(end_ns)

    def close(self) -> None:
        """Send what is held, and end."""
        self._provider.shutdown()


class FileExporter(ConsoleSpanExporter):
    """Spans as lines of JSON at the end of a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        super().__init__(out=self._file, formatter=lambda span: span.to_json(indent=None) + "\n")

    def shutdown(self) -> None:
        """Close the file."""
        self._file.close()


_NUMBERS = {status.name: status.value[0] for status in grpc.StatusCode}


def exporter_to(place: str) -> SpanExporter:
    """Return what sends spans: by OTLP to an http(s):// address, or as lines of JSON to the end of a file."""
    if place.startswith(("http://", "https://")):
        return OTLPSpanExporter(endpoint=place, timeout=_EXPORT_S)
    return FileExporter(Path(place))
