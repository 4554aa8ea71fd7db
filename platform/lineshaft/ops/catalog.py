"""What the platform needs to know of declarations: the catalogue as a port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lineshaft.specs import Service, View


class Catalog(Protocol):
    """Views and services by name. Raises `NotFoundError`, naming near matches."""

    def view(self, name: str, version: str | None = None) -> View:
        """Return a view; the current version unless one is named."""
        ...

    def views(self) -> Sequence[View]:
        """Return the current version of every view, by name."""
        ...

    def service(self, name: str) -> Service:
        """Return a feature service with its pinned view versions."""
        ...

    def services(self) -> Sequence[Service]:
        """Return every feature service, by name."""
        ...
