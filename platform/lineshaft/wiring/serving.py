"""What a server answers with, and how much it takes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineshaft.clock import Clock
from lineshaft.errors import EnvironmentFault
from lineshaft.ops.pushes import Pushes
from lineshaft.ops.row_pushes import RowPushes
from lineshaft.serving.call_log import CallLog
from lineshaft.serving.calls import Told
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.following import followed
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.served_log import ServedAnswers
from lineshaft.serving.server import Handlers, Limits
from lineshaft.serving.warming import begin
from lineshaft.serving.write_behind import WriteBehind
from lineshaft.settings import Settings
from lineshaft.stores.served_log import ServedLog
from lineshaft.wiring.parts import Parts

if TYPE_CHECKING:
    from lineshaft.serving.traces import Traces


def feature_handler(parts: Parts) -> FeatureHandler:
    """Return what answers features; nothing is logged."""
    return FeatureHandler(plans=Plans(catalog=parts.definitions), online=parts.online, clock=parts.clock)


def handlers(parts: Parts, *, inbox: Path | None = None) -> Handlers:
    """Return what a server answers with; pushed readings go into `inbox`, the home's own unless given."""
    settings, features = parts.settings, feature_handler(parts)
    metrics = None
    if settings.metrics_address:  # what nobody looks at is not counted
        from lineshaft.serving.metrics import Metrics

        metrics = Metrics()
    predictions = PredictionLog(settings.home / "predictions", every_s=settings.log_flush_s)
    logs: list[WriteBehind[Any]] = [predictions.behind]
    if settings.log_served:
        served = ServedAnswers(
            ServedLog(settings.offline_root(), clock=parts.clock),
            clock=parts.clock,
            share=settings.log_served,
            every_s=settings.log_flush_s,
        )
        logs.append(served.behind)
        features = replace(features, log=served)
    champions, acknowledging = followed(parts.registry, settings.project, kept=parts.kept, clock=parts.clock)
    predictor = Predictor(champions=champions, features=features, clock=parts.clock, sink=predictions)
    if metrics is not None:
        metrics.watch(features.breaker, parts.online)
        metrics.watch_logs(logs)
        metrics.watch_models(predictor)

    told: list[Told] = [CallLog(slow_s=settings.log_slow_s)]
    traces = _traces(settings, parts.clock)
    if traces is not None:
        told.append(traces)

    def close() -> None:
        champions.close()
        acknowledging.close()
        predictor.shadows.close()
        for log in logs:
            log.close()
        if traces is not None:
            traces.close()

    return Handlers(
        plans=features.plans,
        features=features,
        training=TrainingSetHandler(plans=features.plans, offline=parts.offline),
        predictor=predictor,
        start=lambda: begin(champions, features),
        upkeep=parts.online.keep_known,
        close=close,
        metrics=metrics,
        told=tuple(told),
        row_pushes=RowPushes(
            catalog=parts.catalog,
            clock=parts.clock,
            online=parts.online,
            folder=parts.pushed,
            rejects=parts.rejects,
        ),
        pushes=Pushes(catalog=parts.catalog, clock=parts.clock, inbox=inbox or parts.inbox, rejects=parts.rejects),
    )


def _traces(settings: Settings, clock: Clock) -> Traces | None:
    """Return what makes spans of calls, where they are to go somewhere."""
    if not settings.traces:
        return None
    try:
        from lineshaft.serving.traces import Traces, exporter_to
    except ImportError as error:
        what = "OpenTelemetry is not installed"
        raise EnvironmentFault(what, where="LINESHAFT_TRACES", fix="pip install 'lineshaft[traces]'") from error
    return Traces(exporter_to(settings.traces), clock=clock, share=settings.traces_share)


def limits(parts: Parts) -> Limits:
    """Return what one gRPC server takes on."""
    settings, usual = parts.settings, Limits()
    single_calls = usual.max_concurrent_calls - usual.max_streams
    return Limits(
        store_timeout_s=settings.redis_timeout_s,
        shared_port=settings.worker is not None,
        max_streams=settings.max_streams,
        max_concurrent_calls=single_calls + settings.max_streams,
    )
