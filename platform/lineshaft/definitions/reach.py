"""How far a change reaches: what it takes away, from which services, live models and teams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lineshaft.specs import LiveModel, OnDemandView, Service, View, format_duration

Definition = View | OnDemandView | Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaks:
    """What a change takes from whoever reads the old: in words, and of which features; none named is all of them."""

    words: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    everything: bool = False

    def touches(self, features: frozenset[str]) -> bool:
        """Tell whether a reader of these features is met."""
        return bool(features) and (self.everything or bool(self.features & features))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Who reads what changes, by name."""

    services: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


def breaks(old: Definition, new: Definition | None) -> Breaks:
    """Compare what readers of the old get with what they would get; features added take nothing away."""
    if new is None:
        return Breaks(words=("it is removed",), everything=True)
    if isinstance(old, View) and isinstance(new, View):
        return _of_views(old, new)
    if isinstance(old, OnDemandView) and isinstance(new, OnDemandView):
        return _of_features(
            {f.name: (f.function, f.inputs, f.dtype, f.unit) for f in old.features},
            {f.name: (f.function, f.inputs, f.dtype, f.unit) for f in new.features},
        )
    if isinstance(old, Service) and isinstance(new, Service):
        gone = sorted(_columns(old) - _columns(new))
        return Breaks(words=tuple(f"{name} is no longer in it" for name in gone), features=frozenset(gone))
    return Breaks()


def _of_views(old: View, new: View) -> Breaks:
    found = _of_features(
        {f.name: (f.column, f.function, f.window_us, f.dtype, f.unit) for f in old.features},
        {f.name: (f.column, f.function, f.window_us, f.dtype, f.unit) for f in new.features},
    )
    whole = []
    if old.entity_keys != new.entity_keys:
        whole.append("it is asked by other keys")
    if (old.source.name, old.source.kind) != (new.source.name, new.source.kind):
        whole.append(f"it is computed from {new.source.name} instead of {old.source.name}")
    if old.tile_us != new.tile_us:
        whole.append(f"a row comes every {format_duration(new.tile_us)} instead of {format_duration(old.tile_us)}")
    return Breaks(words=(*whole, *found.words), features=found.features, everything=bool(whole))


def _of_features(old: Mapping[str, object], new: Mapping[str, object]) -> Breaks:
    gone = [name for name in old if name not in new]
    moved = [name for name in old if name in new and old[name] != new[name]]
    words = [f"{name} is removed" for name in gone] + [f"{name} means something else" for name in moved]
    return Breaks(words=tuple(words), features=frozenset((*gone, *moved)))


def _columns(service: Service) -> frozenset[str]:
    stored = {f"{used.view}__{name}" for used in service.views for name in used.features}
    return frozenset(stored | {f"{demand.name}__{f.name}" for demand in service.on_demand for f in demand.features})


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Everybody who reads something now, or will."""

    services: Sequence[Service]
    live: Sequence[LiveModel] = ()
    by_view: Mapping[str, list[Service]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index services by what they read: a plan asks for each change."""
        index: dict[str, dict[str, Service]] = {}
        for service in self.services:
            for name in (*(used.view for used in service.views), *(demand.name for demand in service.on_demand)):
                index.setdefault(name, {})[service.name] = service
        object.__setattr__(self, "by_view", {name: list(found.values()) for name, found in index.items()})

    def of(self, value: Definition) -> Reach:
        """Return who reads a definition."""
        if isinstance(value, Service):
            models = [model for model in self.live if model.service == value.name]
            return _reach([], models, besides=value.team, also=value.readers)
        models = [model for model in self.live if model.reads(value.name)]
        return _reach(self.by_view.get(value.name, []), models, besides=value.team)

    def bereft(self, old: Definition, taken: Breaks) -> Iterator[tuple[LiveModel, str]]:
        """Return the live models that a change takes something from, each with one feature it loses."""
        for model in self.live:
            if isinstance(old, Service):
                if taken.everything and model.service == old.name:
                    yield model, ""
                continue
            held = model.reads(old.name)
            if taken.touches(held):
                yield model, min(held & taken.features, default=min(held))


def _reach(
    services: Sequence[Service], models: Sequence[LiveModel], *, besides: str, also: Sequence[str] = ()
) -> Reach:
    teams = {service.team for service in services} | {model.team for model in models} | set(also)
    return Reach(
        services=tuple(sorted(service.name for service in services)),
        models=tuple(str(model) for model in models),
        teams=tuple(sorted(teams - {besides, ""})),
    )
