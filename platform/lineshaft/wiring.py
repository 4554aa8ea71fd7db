"""The object graph, wired by hand in one place: settings in, parts out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from lineshaft.clock import Clock, SystemClock
from lineshaft.errors import EnvironmentFault
from lineshaft.ops.catalog import Catalog
from lineshaft.ops.jobs import Jobs
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.settings import Settings
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import OfflineStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything the product is made of, connected."""

    settings: Settings
    clock: Clock
    catalog: SqlCatalog
    offline: OfflineStore
    online: RedisOnlineStore
    redis_url: str

    @property
    def rejects(self) -> Path:
        """Return the folder of rejected records."""
        return self.settings.home / "rejects"

    @property
    def tables(self) -> Path:
        """Return the folder of side tables: labels, truth, events."""
        return self.settings.home / "tables"

    @property
    def quarantine(self) -> Path:
        """Return the folder of rows a checkpoint refused."""
        return self.settings.home / "quarantine"

    @property
    def reports(self) -> Path:
        """Return the folder of checkpoint results and drift reports."""
        return self.settings.home / "reports"


@contextmanager
def connect(settings: Settings | None = None, *, clock: Clock | None = None) -> Iterator[Parts]:
    """Connect all parts; an embedded online server that this call started is stopped at the end."""
    settings = settings or Settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database())
    with ExitStack() as stack:
        if settings.redis_url is not None:
            redis_url = settings.redis_url.get_secret_value()
        else:
            redis_url = stack.enter_context(EmbeddedValkey(settings.home / "online")).url
        online = RedisOnlineStore(redis_url, project=settings.project, timeout_s=settings.redis_timeout_s)
        yield Parts(
            settings=settings,
            clock=clock or SystemClock(),
            catalog=SqlCatalog(settings.database(), project=settings.project),
            offline=DeltaOfflineStore(settings.offline_root()),
            online=online,
            redis_url=redis_url,
        )


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


__all__ = ["Catalog", "Parts", "connect", "jobs", "plug_in"]
