"""The parts behind a Feast configuration: Lineshaft's settings, stores and catalogue, opened once per process."""

from __future__ import annotations

import atexit
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feast.repo_config import RepoConfig
from pydantic import SecretStr

from lineshaft.ops.rebuild import rebuild
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.notes import HeadNotes
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore


@dataclass(slots=True, kw_only=True)
class PluginParts:
    """Stores of one home and project. The online server is reached for at first use: offline work needs none."""

    settings: Settings
    offline: DeltaOfflineStore
    _online: RedisOnlineStore | None = None
    _fresh: bool = False  # this process started the embedded server, which therefore came up empty
    _restored: set[str] = field(default_factory=set)
    _url: str = ""
    _server: EmbeddedValkey | None = None

    @property
    def redis_url(self) -> str:
        """Return the online server's URL; start the embedded one if nothing else is set."""
        if not self._url:
            given = self.settings.redis_url
            self._url = given.get_secret_value() if given is not None else self._start()
        return self._url

    def online(self, view: View) -> RedisOnlineStore:
        """Return the online store, in which `view` is as good as offline knows it.

        An embedded server that this process started is empty: the cache is restored from offline, view by view.
        """
        if self._online is None:
            timeout_s = self.settings.redis_timeout_s
            self._online = RedisOnlineStore(self.redis_url, project=self.settings.project, timeout_s=timeout_s)
        if self._fresh and view.ref not in self._restored:
            self._restored.add(view.ref)
            if self.offline.version(view) >= 0:
                rebuild([view], self.offline, self._online)
        return self._online

    def catalog(self) -> SqlCatalog:
        """Return the catalogue, its tables up to date."""
        upgrade(self.settings.database())
        notes = HeadNotes.beside(self.settings.home / "artifacts")
        return SqlCatalog(self.settings.database(), project=self.settings.project, notes=notes)

    def close(self) -> None:
        """Stop the embedded server if this process started it. The parts may be used again."""
        if self._online is not None:
            self._online.close()
        if self._server is not None:
            atexit.unregister(self._server.stop)
            self._server.stop()
        self._online, self._server, self._url = None, None, ""

    def _start(self) -> str:
        server = self._server = EmbeddedValkey(self.settings.home / "online")
        self._fresh = server.pid is None
        self._restored.clear()
        url = server.start()
        atexit.register(server.stop)
        return url


_OPEN: dict[Settings, PluginParts] = {}


def parts_of(config: RepoConfig) -> PluginParts:
    """Return the parts behind a Feast configuration."""
    settings = settings_of(config)
    if settings not in _OPEN:
        _OPEN[settings] = PluginParts(settings=settings, offline=DeltaOfflineStore(settings.offline_root()))
    return _OPEN[settings]


def settings_of(config: RepoConfig) -> Settings:
    """Return settings: `LINESHAFT_*` in the environment first, then feature_store.yaml, then the defaults."""
    settings = Settings()
    given = settings.model_fields_set
    written: dict[str, Any] = {"project": config.project, "repo": config.repo_path}
    for store in (config.offline_store, config.online_store):
        home, redis_url = getattr(store, "home", None), getattr(store, "redis_url", None)
        if home:
            written["home"] = (Path(config.repo_path or ".") / home).resolve()
        if redis_url:
            written["redis_url"] = SecretStr(redis_url)
    return settings.model_copy(update={k: v for k, v in written.items() if k not in given and v is not None})
