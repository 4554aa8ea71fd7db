"""What the database last said, kept in files: a server that starts while it is away goes on from there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from lineshaft.errors import UnavailableError
from lineshaft.registry.catalog_values import Catalog
from lineshaft.specs import OnDemandView, Service, View

_LOG = logging.getLogger(__name__)
One = TypeVar("One", View, OnDemandView, Service)


@dataclass(frozen=True, slots=True)
class KeptTexts:
    """Texts by name, a file each under `root`: replaced whole, written when they change, sealed by their hash."""

    root: Path
    _saved: dict[str, str] = field(default_factory=dict)

    def save(self, name: str, text: str) -> None:
        """Keep a text; a disk that is full or read-only is logged, no more."""
        if self._saved.get(name) == text:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, torn = tempfile.mkstemp(dir=self.root, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{_seal(text)}\n{text}")
            Path(torn).replace(self._path(name))
            self._saved[name] = text
        except OSError as error:
            _LOG.warning("what the database says of %s cannot be kept on disk: %s", name, error)

    def load(self, name: str) -> str | None:
        """Return a text as it was kept; None where there is none, or the file is no longer what was written."""
        try:
            seal, _, text = self._path(name).read_text(encoding="utf-8").partition("\n")
        except (OSError, UnicodeDecodeError):
            return None
        if seal != _seal(text):
            _LOG.warning("%s was altered: it is not used", self._path(name))
            return None
        return text

    def _path(self, name: str) -> Path:
        return self.root / quote(name, safe="")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCatalog:
    """A catalogue that answers from what was kept while the database is away; otherwise the catalogue's own answers."""

    catalog: Catalog
    kept: KeptTexts

    def view(self, name: str, version: str | None = None) -> View:
        """Return a view, in its current version unless one is named."""
        return self._one(f"view {name}@{version or ''}", View, lambda: self.catalog.view(name, version))

    def service(self, name: str) -> Service:
        """Return a service with its pinned view versions."""
        return self._one(f"service {name}", Service, lambda: self.catalog.service(name))

    def views(self) -> Sequence[View]:
        """Return the current views, by name."""
        return self._all("views", View, self.catalog.views)

    def on_demand_views(self) -> Sequence[OnDemandView]:
        """Return the current on-demand views, by name."""
        return self._all("on-demand views", OnDemandView, self.catalog.on_demand_views)

    def services(self) -> Sequence[Service]:
        """Return the current services, by name."""
        return self._all("services", Service, self.catalog.services)

    def _one(self, name: str, kind: type[One], ask: Callable[[], One]) -> One:
        try:
            found = ask()
        except UnavailableError:
            text = self.kept.load(name)
            if text is None:
                raise
            return kind.from_json(text)
        self.kept.save(name, found.to_json())
        return found

    def _all(self, name: str, kind: type[One], ask: Callable[[], Sequence[One]]) -> Sequence[One]:
        try:
            found = ask()
        except UnavailableError:
            text = self.kept.load(name)
            if text is None:
                raise
            return tuple(kind.from_json(one) for one in json.loads(text))
        self.kept.save(name, json.dumps([one.to_json() for one in found]))
        return found


def _seal(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
