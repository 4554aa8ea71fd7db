"""The object graph, wired by hand in one place: settings in, parts out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lineshaft.access.denials import Denials
from lineshaft.access.guard import Guard
from lineshaft.access.openid import OpenId, Provider
from lineshaft.access.rates import Rates
from lineshaft.access.tokens import Tokens
from lineshaft.clock import Clock, SystemClock
from lineshaft.errors import EnvironmentFault, InputError, UnavailableError
from lineshaft.ops.governance import Governance
from lineshaft.ops.jobs import JobResult, Jobs, Target, Verdict
from lineshaft.ops.pushes import Pushes
from lineshaft.ops.rebuild import fill
from lineshaft.ops.retract import retract
from lineshaft.ops.row_pushes import RowPushes, land_pushes
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.current import brought_up
from lineshaft.registry.kept import KeptCatalog, KeptTexts
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.tokens import TokenRegister
from lineshaft.serving.call_log import CallLog
from lineshaft.serving.calls import Told
from lineshaft.serving.door import Door
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.following import followed
from lineshaft.serving.predict import Predictor
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.served_log import ServedAnswers
from lineshaft.serving.server import Handlers, Limits
from lineshaft.serving.tls import Tls
from lineshaft.serving.warming import begin
from lineshaft.serving.write_behind import WriteBehind
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.known_rows import KnownRows
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import OfflineStore
from lineshaft.stores.served_log import ServedLog

if TYPE_CHECKING:
    from lineshaft.models.gate import Policy
    from lineshaft.serving.traces import Traces


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything the product is made of, connected."""

    settings: Settings
    clock: Clock
    catalog: SqlCatalog
    offline: OfflineStore
    online: RedisOnlineStore
    registry: ModelRegistry
    redis_url: str
    embedded: EmbeddedValkey | None = None  # where no server of Redis is named

    @property
    def inbox(self) -> Path:
        """Return the folder that a stream job watches, with one of blocks for each source."""
        return self.settings.home / "inbox"

    @property
    def pushed(self) -> Path:
        """Return the folder of pushed rows that wait for their checkpoint."""
        return self.settings.home / "pushed"

    @property
    def rejects(self) -> Path:
        """Return the folder of rejected records."""
        return self.settings.home / "rejects"

    @property
    def tables(self) -> Path:
        """Return the folder of side tables: labels, truth, events."""
        return self.settings.home / "tables"

    @property
    def work(self) -> Path:
        """Return the folder of the jobs' own files: staging, checkpoints, rows in quarantine."""
        return self.settings.home / "work"

    @property
    def definitions(self) -> KeptCatalog:
        """Return the catalogue as servers read it: while its database is away, as it last was."""
        return KeptCatalog(catalog=self.catalog, kept=self.kept)

    @property
    def kept(self) -> KeptTexts:
        """Return what the database last said of this project."""
        return KeptTexts(self.settings.home / "known_definitions" / self.settings.project)

    @property
    def reports(self) -> Path:
        """Return the folder of checkpoint results and drift reports."""
        return self.settings.home / "reports"


@contextmanager
def connect(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    keep_online: bool = True,
    from_memory: bool = False,
) -> Iterator[Parts]:
    """Connect all parts. Without a Redis URL an embedded server is started, or found running.

    With `keep_online` it goes on after the end, so that one command finds what the last one wrote; `lineshaft down`
    stops it. Without, a server that this call started is stopped. With `from_memory` a database that is away is not
    waited for: what it last said is served.
    """
    settings, clock = settings or Settings(), clock or SystemClock()
    settings.home.mkdir(parents=True, exist_ok=True)
    if settings.worker is None:  # whoever started this one of several has done it
        try:
            brought_up(settings.database())
        except UnavailableError as error:
            if not from_memory:
                raise
            _LOG.warning("what it last said is served until it answers: %s", error.what)
    with ExitStack() as stack:
        embedded = None
        if settings.redis_url is not None:
            redis_url = settings.redis_url.get_secret_value()
        else:
            embedded = EmbeddedValkey(settings.home / "online")
            redis_url = embedded.start()
            if not keep_online:
                stack.callback(embedded.stop)
        kept = KnownRows(settings.home / "known_rows" / settings.project, owner=str(settings.worker or 0))
        online = RedisOnlineStore(redis_url, project=settings.project, timeout_s=settings.redis_timeout_s, kept=kept)
        parts = Parts(
            settings=settings,
            clock=clock,
            catalog=SqlCatalog(settings.database(), project=settings.project),
            offline=DeltaOfflineStore(settings.offline_root()),
            online=online,
            registry=open_registry(
                database_url=settings.database(), artifacts=settings.home / "artifacts", clock=clock
            ),
            redis_url=redis_url,
            embedded=embedded,
        )
        if embedded is not None:
            _make_whole(parts)
        yield parts


def refill(parts: Parts) -> None:
    """Fill an embedded server from offline: one that started empty, or whose filling was cut off, knows too little."""
    stored = (view for view in parts.definitions.views() if view.online and parts.offline.version(view) >= 0)
    fill(stored, parts.offline, parts.online)


def _make_whole(parts: Parts) -> None:
    if not parts.online.filled():
        refill(parts)
        parts.online.mark_filled()


@contextmanager
def kept_up(parts: Parts) -> Iterator[None]:
    """Start an embedded server again when it dies, and fill it; a Redis that was named is in the care of others."""
    if parts.embedded is None:
        yield
        return
    with parts.embedded.kept_up(partial(_make_whole, parts)):
        yield


@contextmanager
def scratch(parts: Parts, folder: Path) -> Iterator[Parts]:
    """Return parts that keep all in `folder`, and rows online on the same server under another project's name."""
    settings = parts.settings.model_copy(update={"project": f"{parts.settings.project}.scratch", "home": folder})
    online = RedisOnlineStore(parts.redis_url, project=settings.project, timeout_s=settings.redis_timeout_s)
    offline = DeltaOfflineStore(str((folder / "offline").resolve()))
    with closing(online):
        yield replace(parts, settings=settings, offline=offline, online=online)


@contextmanager
def governance(parts: Parts) -> Iterator[Governance]:
    """Open the installed governance: checkpoints, drift, admin page; from the extra `lineshaft[governance]`."""
    opened: Governance = plug_in("lineshaft.governance", "governance").open(
        policies=parts.settings.policies, folder=parts.reports, clock=parts.clock
    )
    try:
        yield opened
    finally:
        opened.close()


def policy_of(parts: Parts) -> Callable[[str], Policy]:
    """Return what tells what a model must show today to be promoted."""

    def policy(model: str) -> Policy:
        with governance(parts) as checks:
            return checks.promotion(model)

    return policy


@contextmanager
def gated_target(parts: Parts, *, checked: bool = True) -> Iterator[Target]:
    """Return where a job writes; with `checked`, every batch passes its checkpoint, and refused rows are taken back."""
    plain = Target(offline=parts.offline, redis_url=parts.redis_url, project=parts.settings.project, work=parts.work)
    if not checked:
        yield plain
        return
    with governance(parts) as checks:

        def gate(view: View, rows: pa.Table) -> Verdict:
            verdict = checks.gate(view, rows)
            if verdict.quarantined.num_rows:
                retract(view, verdict.quarantined, good=verdict.good, offline=parts.offline, online=parts.online)
            return verdict

        yield replace(plain, gate=gate)


def feature_handler(parts: Parts) -> FeatureHandler:
    """Return what answers features; nothing is logged."""
    return FeatureHandler(plans=Plans(catalog=parts.definitions), online=parts.online, clock=parts.clock)


def land_waiting(parts: Parts, target: Target) -> JobResult:
    """Land the pushed rows that wait."""
    return land_pushes(parts.pushed, catalog=parts.catalog, target=target, online=parts.online, clock=parts.clock)


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


@contextmanager
def door(parts: Parts) -> Iterator[Door]:
    """Open what stands between the network and the handlers, as the settings say."""
    settings, tls = parts.settings, _tls(parts.settings)
    with ExitStack() as stack:
        tokens = None
        if settings.auth_tokens:
            register = TokenRegister(settings.database(), project=settings.project, clock=parts.clock)
            stack.callback(register.close)
            tokens = Tokens(register, clock=parts.clock)
            stack.callback(tokens.close)
        openid = OpenId(_provider(settings), clock=parts.clock) if settings.oidc_issuer else None
        if openid is not None:
            stack.callback(openid.close)
        if tokens is None and openid is None:
            yield Door(tls=tls)
            return
        denials = Denials(settings.home / "audit", clock=parts.clock, worker=settings.worker or 0)
        stack.callback(denials.close)
        rates = Rates(per_s=settings.rate_per_s, burst=settings.rate_burst) if settings.rate_per_s else None
        yield Door(tls=tls, guard=Guard(tokens=tokens, openid=openid, rates=rates, denials=denials))


def _provider(settings: Settings) -> Provider:
    return Provider(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        keys=settings.oidc_keys,
        algorithms=[name.strip() for name in settings.oidc_algorithms.split(",") if name.strip()],
        claim=settings.oidc_claim,
    )


def _tls(settings: Settings) -> Tls | None:
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None or key is None:
        if cert or key or settings.tls_client_ca:
            what = "encryption needs both a certificate and its key"
            raise InputError(what, where="LINESHAFT_TLS_CERT, LINESHAFT_TLS_KEY", fix="set both, or neither")
        return None
    return Tls(cert=cert, key=key, client_ca=settings.tls_client_ca)


def jobs() -> Jobs:
    """Return the installed job engine; PyFlink's, from the extra `lineshaft[flink]`."""
    loaded: Jobs = plug_in("lineshaft.jobs", "flink")()
    return loaded


def plug_in(group: str, extra: str) -> Any:
    """Return what the first entry point of a group names.

    Raises `EnvironmentFault` naming the extra that brings one.
    """
    for entry in entry_points(group=group):
        return entry.load()
    raise EnvironmentFault(f"nothing installed offers {group!r}", fix=f"pip install 'lineshaft[{extra}]'")
