"""Read a feature repository: `read_repo(path)` gives its views, services and everything wrong with it, at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lineshaft.access.teams import Teams
from lineshaft.definitions.checks import check
from lineshaft.definitions.compiler import compile_on_demand, compile_service, compile_view, inputs_of
from lineshaft.definitions.conflicts import strangers, unlike_units
from lineshaft.definitions.faults import Fault, refuse
from lineshaft.definitions.kept import KeptDefinitions
from lineshaft.definitions.loader import Declared, Repository, load
from lineshaft.definitions.places import mentions
from lineshaft.definitions.written import FeatureService, FeatureView, OnDemandFeatureView
from lineshaft.errors import NotFoundError
from lineshaft.specs import OnDemandView, Service, View

KINDS = {"view": FeatureView, "on-demand view": OnDemandFeatureView, "service": FeatureService}
"""What an apply changes, as a plan calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """What a repository declares. An object with a fault is named in `faults` and left out of the rest."""

    views: tuple[View, ...]
    on_demand: tuple[OnDemandView, ...]
    services: tuple[Service, ...]
    faults: tuple[Fault, ...] = ()
    places: Mapping[tuple[str, str], Declared] = field(default_factory=dict)  # by kind and name, those at fault too
    whole: bool = True  # every module could be imported: what is not declared is not wanted

    def checked(self) -> Definitions:
        """Return itself.

        Raises
        ------
        DefinitionError
            If there is any fault that is not a warning; the message lists all of them.
        """
        refuse(self.faults)
        return self

    def fault(self, code: str, kind: str, name: str, what: str, *, fix: str, near: str = "", where: str = "") -> Fault:
        """Return a fault of an object where it stands, at `near` if that is written there; else at `where` it stood."""
        place = self.places.get((kind, name))
        if place is None:
            return Fault(code=code, what=what, where=where, fix=fix)
        return place.fault(code, what, fix=fix, near=mentions(near) if near else None)


NO_TEAMS = Teams()


def read_repo(path: Path, *, kept: KeptDefinitions | None = None, teams: Teams = NO_TEAMS) -> Definitions:
    """Import the repository at `path`, check it, and compile what is sound. Imports Feast: some seconds.

    With `kept`, what did not change is not imported, and where nothing did, neither is Feast.

    Raises
    ------
    NotFoundError
        If there is no folder at `path`.
    """
    return compile_repository(open_repo(path, kept=kept), teams=teams)


def open_repo(path: Path, *, kept: KeptDefinitions | None = None) -> Repository:
    """Import the repository at `path`; raise `NotFoundError` where there is no folder."""
    if not path.is_dir():
        raise NotFoundError(f"no feature repository at {path}", fix="pass its folder, or set LINESHAFT_REPO")
    return load(path, kept=kept)


def compile_repository(repository: Repository, *, teams: Teams = NO_TEAMS) -> Definitions:
    """Check and compile an imported repository."""
    faults, broken = check(repository)
    views = {
        d.value.name: compile_view(d.value, entities=repository.keys, where=d.where)
        for d in repository.of(FeatureView)
        if id(d.value) not in broken
    }
    units = {f"{view.name}__{feature.name}": feature.unit for view in views.values() for feature in view.features}
    demands = [d for d in repository.of(OnDemandFeatureView) if id(d.value) not in broken and _inputs(d) <= set(views)]
    on_demand = {d.value.name: compile_on_demand(d.value, units=units) for d in demands}
    unlike = [fault for d in demands for fault in unlike_units(d, on_demand[d.value.name], units)]
    services = [
        compile_service(d.value, views=views, on_demand=on_demand)
        for d in repository.of(FeatureService)
        if id(d.value) not in broken and all(n in views or n in on_demand for n, _ in d.value.references)
    ]
    places: dict[tuple[str, str], Declared] = {}
    for kind, of in KINDS.items():
        for declared in repository.of(of):
            places.setdefault((kind, declared.value.name), declared)
    return Definitions(
        views=tuple(views.values()),
        on_demand=tuple(on_demand.values()),
        services=tuple(services),
        faults=(*faults, *unlike, *strangers(repository, teams)),
        places=places,
        whole=not repository.faults,
    )


def _inputs(declared: Declared) -> set[str]:
    """Return the views that an on-demand view reads."""
    return {text.partition("__")[0] for a in declared.value.aggregations for text in inputs_of(a) if "__" in text}
