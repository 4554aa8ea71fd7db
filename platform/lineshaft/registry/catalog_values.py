"""The catalogue as values: what readers ask of it, what an apply hands over, and a catalogue that is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from lineshaft.errors import NotFoundError
from lineshaft.specs import LiveModel, OnDemandView, Service, View

Found = TypeVar("Found", View, OnDemandView, Service)


class Catalog(Protocol):
    """What readers of definitions need. Raises `NotFoundError`, naming near matches."""

    def view(self, name: str, version: str | None = None) -> View:
        """Return a view, in its current version unless one is named."""
        ...

    def views(self) -> Sequence[View]:
        """Return the current views, by name."""
        ...

    def on_demand_views(self) -> Sequence[OnDemandView]:
        """Return the current on-demand views, by name."""
        ...

    def service(self, name: str) -> Service:
        """Return a service with its pinned view versions."""
        ...

    def services(self) -> Sequence[Service]:
        """Return the current services, by name."""
        ...


class Applicable(Protocol):
    """What `SqlCatalog.apply` writes: a whole repository, as planned against one generation."""

    @property
    def generation(self) -> int:
        """The generation the plan was made against."""
        ...

    @property
    def summary(self) -> str:
        """What changes, in one line."""
        ...

    @property
    def views(self) -> tuple[View, ...]:
        """Every view of the repository."""
        ...

    @property
    def on_demand(self) -> tuple[OnDemandView, ...]:
        """Every on-demand view of the repository."""
        ...

    @property
    def services(self) -> tuple[Service, ...]:
        """Every service of the repository."""
        ...

    @property
    def transfers(self) -> frozenset[str]:
        """Names that may change hands: an ownership change somebody approved."""
        ...

    def checked(self) -> object:
        """Raise `DefinitionError` if any fault was found."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One apply of the past."""

    generation: int
    at_us: int
    actor: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCatalog:
    """A catalogue made of given values: what tests use, and what a snapshot of the database is."""

    all_views: tuple[View, ...] = ()
    all_services: tuple[Service, ...] = ()
    all_on_demand: tuple[OnDemandView, ...] = ()
    generation: int = 0
    all_pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    all_live: tuple[LiveModel, ...] = ()

    def view(self, name: str, version: str | None = None) -> View:
        """Return a view; raise `NotFoundError`."""
        return _pick("view", self.all_views, name, version)

    def views(self) -> tuple[View, ...]:
        """Return the views."""
        return self.all_views

    def on_demand_views(self) -> tuple[OnDemandView, ...]:
        """Return the on-demand views."""
        return self.all_on_demand

    def service(self, name: str, version: str | None = None) -> Service:
        """Return a service; raise `NotFoundError`."""
        return _pick("service", self.all_services, name, version)

    def services(self) -> tuple[Service, ...]:
        """Return the services."""
        return self.all_services

    def snapshot(self) -> FixedCatalog:
        """Return itself."""
        return self

    def pins(self) -> Mapping[str, tuple[str, ...]]:
        """Return which models pin which view, by "view@version"."""
        return self.all_pins

    def live(self) -> tuple[LiveModel, ...]:
        """Return the models that hold a slot."""
        return self.all_live


def _pick(kind: str, values: Sequence[Found], name: str, version: str | None) -> Found:
    for value in values:
        if value.name == name and version in (None, value.version):
            return value
    raise missing(kind, name, version)


def missing(kind: str, name: str, version: str | None) -> NotFoundError:
    """Return the error that says that a definition does not exist."""
    at = f" in version {version}" if version else ""
    return NotFoundError(f"there is no {kind} {name!r}{at}", fix="see `lineshaft plan`; `lineshaft apply` makes it so")
