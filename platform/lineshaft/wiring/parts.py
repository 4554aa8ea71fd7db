"""What the product is made of, connected: settings in, parts out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lineshaft.clock import Clock, SystemClock
from lineshaft.errors import UnavailableError
from lineshaft.ops.rebuild import fill
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.current import brought_up
from lineshaft.registry.kept import KeptCatalog, KeptTexts
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.settings import Settings
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.known_rows import KnownRows
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import OfflineStore

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
        registry = open_registry(database_url=settings.database(), artifacts=settings.home / "artifacts", clock=clock)
        parts = Parts(
            settings=settings,
            clock=clock,
            catalog=SqlCatalog(settings.database(), project=settings.project, notes=registry.notes),
            offline=DeltaOfflineStore(settings.offline_root()),
            online=online,
            registry=registry,
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
