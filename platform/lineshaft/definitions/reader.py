"""Read a feature repository: `read_repo(path)` gives its views, services and everything wrong with it, at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feast import FeatureService, FeatureView, OnDemandFeatureView

from lineshaft.definitions.checks import check
from lineshaft.definitions.compiler import compile_on_demand, compile_service, compile_view, inputs_of, referenced
from lineshaft.definitions.faults import Fault, refuse
from lineshaft.definitions.loader import Declared, Repository, load
from lineshaft.errors import NotFoundError
from lineshaft.specs import OnDemandView, Service, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """What a repository declares. An object with a fault is named in `faults` and left out of the rest."""

    views: tuple[View, ...]
    on_demand: tuple[OnDemandView, ...]
    services: tuple[Service, ...]
    faults: tuple[Fault, ...] = ()

    def checked(self) -> Definitions:
        """Return itself.

        Raises
        ------
        DefinitionError
            If there is any fault that is not a warning; the message lists all of them.
        """
        refuse(self.faults)
        return self


def read_repo(path: Path) -> Definitions:
    """Import the repository at `path`, check it, and compile what is sound. Imports Feast: about 5 s.

    Raises
    ------
    NotFoundError
        If there is no folder at `path`.
    """
    if not path.is_dir():
        raise NotFoundError(f"no feature repository at {path}", fix="pass its folder, or set LINESHAFT_REPO")
    return compile_repository(load(path))


def compile_repository(repository: Repository) -> Definitions:
    """Check and compile an imported repository."""
    faults, broken = check(repository)
    views = {
        d.value.name: compile_view(d.value, entities=repository.keys, where=d.where)
        for d in repository.of(FeatureView)
        if id(d.value) not in broken
    }
    units = {f"{view.name}__{feature.name}": feature.unit for view in views.values() for feature in view.features}
    on_demand = {
        d.value.name: compile_on_demand(d.value, units=units)
        for d in repository.of(OnDemandFeatureView)
        if id(d.value) not in broken and _inputs(d) <= set(views)
    }
    services = [
        compile_service(d.value, views=views, on_demand=on_demand)
        for d in repository.of(FeatureService)
        if id(d.value) not in broken and all(n in views or n in on_demand for n, _ in referenced(d.value))
    ]
    return Definitions(
        views=tuple(views.values()), on_demand=tuple(on_demand.values()), services=tuple(services), faults=faults
    )


def _inputs(declared: Declared) -> set[str]:
    """Return the views that an on-demand view reads."""
    return {text.partition("__")[0] for a in declared.value.aggregations for text in inputs_of(a) if "__" in text}
