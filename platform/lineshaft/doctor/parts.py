"""The parts of an installation: catalogue, stores, server; asked as they are, nothing started and nothing changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lineshaft.clock import Clock
from lineshaft.doctor.checks import Finding
from lineshaft.doctor.machine import listened_on
from lineshaft.ops.quarantine import held_batches
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.revisions import standing
from lineshaft.serving.health import SERVING, health
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_report import OnlineReport, online_report

_SLOW_S = 0.01
_SKEWED_S, _WRONG_S = 1.0, 10.0
_NEARLY = 0.9
_ASK_S = 2.0
_EVICTING = ("allkeys", "volatile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts as the settings name them."""

    settings: Settings
    clock: Clock

    def catalogue(self) -> Finding:
        """Tell whether the catalogue answers, stands at the newest migration, and declares anything."""
        at, newest = standing(self.settings.database())
        if at != newest:
            says = f"the catalogue stands at {at}, the newest is {newest}" if at else "there is no catalogue yet"
            return Finding(state="fail" if at else "warn", says=says, fix="run `lineshaft db upgrade`")
        views, services = (
            self._views(),
            len(SqlCatalog(self.settings.database(), project=self.settings.project).services()),
        )
        says = f"revision {at}, {len(views)} views and {services} feature services in {self.settings.project}"
        return Finding(says=says) if views else Finding(state="warn", says=says, fix="run `lineshaft apply`")

    def online(self) -> Finding:
        """Tell whether the online store answers, how fast, how full it is, and whether it throws rows away."""
        report = self._report()
        if report is None:
            return _not_running()
        most = f" of {report.most_bytes / 1e6:.0f}" if report.most_bytes else ""
        says = (
            f"{report.server}, {report.latency_s * 1e3:.2f} ms, {report.used_bytes / 1e6:.0f}{most} MB, "
            f"policy {report.policy}, {report.evicted} rows evicted, {'filled' if report.filled else 'not filled'}"
        )
        if report.evicted or report.policy.startswith(_EVICTING):
            fix = (
                "set maxmemory-policy noeviction: rows that are evicted are NOT_FOUND; then `lineshaft online rebuild`"
            )
            return Finding(state="fail" if report.evicted else "warn", says=says, fix=fix)
        if report.most_bytes and report.used_bytes > _NEARLY * report.most_bytes:
            return Finding(state="warn", says=says, fix="raise maxmemory, or remove views that no model needs")
        if report.latency_s > _SLOW_S:
            return Finding(state="warn", says=says, fix="see what loads it, or what lies between")
        return Finding(says=says)

    def clocks(self) -> Finding:
        """Tell how far this machine's clock is from the online store's."""
        report = self._report()
        if report is None:
            return _not_running()
        off_s = abs(report.ahead_us) / 1e6
        says = f"{off_s:.3f} s {'behind' if report.ahead_us > 0 else 'before'} the online store's"
        if off_s < _SKEWED_S:
            return Finding(says=says)
        fix = "keep both machines by NTP: ages and times to live are counted by their clocks"
        return Finding(state="fail" if off_s > _WRONG_S else "warn", says=says, fix=fix)

    def offline(self) -> Finding:
        """Tell whether the offline store can be read, and which views have rows in it."""
        store, views = DeltaOfflineStore(self.settings.offline_root()), self._views()
        with_rows = [view.name for view in views if store.version(view) >= 0]
        says = f"{len(with_rows)} of {len(views)} views have rows in {self.settings.offline_root()}"
        if len(with_rows) == len(views):
            return Finding(says=says)
        return Finding(state="warn", says=says, fix="run `lineshaft backfill`")

    def freshness(self) -> Finding:
        """Tell how old the newest row of each view is, beside the age at which its rows are stale."""
        store, now_us = DeltaOfflineStore(self.settings.offline_root()), self.clock.now_us()
        newest = {view: store.newest_us(view) for view in self._views()}
        ages = {view: (now_us - at_us) / 1e6 for view, at_us in newest.items() if at_us is not None}
        stale = [view.name for view, age in ages.items() if view.ttl_us and age * 1e6 > view.ttl_us]
        says = ", ".join(f"{view.name} {_span(age)}" for view, age in ages.items()) or "no rows"
        if not stale:
            return Finding(says=says)
        return Finding(state="warn", says=says, fix=f"stale: {', '.join(stale)}; see whether the stream job runs")

    def quarantine(self) -> Finding:
        """Tell how many rows checkpoints hold back, by view, source, table or model."""
        held = Counter[str]()
        for batch in held_batches(self.settings.home / "work"):
            held[batch.name] += batch.rows
        if not held:
            return Finding(says="no rows")
        says = ", ".join(f"{name} {count} rows" for name, count in held.items())
        return Finding(state="warn", says=says, fix="read why, and decide: `lineshaft quarantine list`")

    def server(self) -> Finding:
        """Tell whether a server answers at its address, and says that it serves."""
        address, encrypted = self.settings.grpc_address, self.settings.tls_cert is not None
        if not listened_on(address):
            return Finding(state="warn", says=f"nobody serves at {address}", fix="run `lineshaft serve`")
        said = health(address, timeout_s=_ASK_S, ca=self.settings.tls_cert or "")
        if said == SERVING:
            return Finding(says=f"{address} serves")
        also = ", or set LINESHAFT_TLS_CERT to the certificate it shows" if encrypted else ""
        fix = f"wait while it starts or stops; see what listens there{also}"
        return Finding(state="fail", says=f"{address} answers {said}", fix=fix)

    def _views(self) -> tuple[View, ...]:
        database = self.settings.database()
        at, newest = standing(database)
        return SqlCatalog(database, project=self.settings.project).views() if at == newest else ()

    def _report(self) -> OnlineReport | None:
        """Return what the online store says of itself; None where the embedded one does not run."""
        if self.settings.redis_url is not None:
            url = self.settings.redis_url.get_secret_value()
        else:
            embedded = EmbeddedValkey(self.settings.home / "online")
            if embedded.pid is None:
                return None
            url = embedded.url
        return online_report(url, project=self.settings.project, clock=self.clock, timeout_s=_ASK_S)


def _not_running() -> Finding:
    says = "the embedded online store does not run"
    return Finding(state="warn", says=says, fix="commands that need it start it; or set LINESHAFT_REDIS_URL")


def _span(seconds: float) -> str:
    """Return a length of time in the largest unit that fits.

    >>> _span(45.0), _span(7200.0), _span(200_000.0)
    ('45 s', '2 h', '2 d')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
