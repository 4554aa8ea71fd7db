"""Compare a repository with the catalogue: what an apply would change, recompute and break."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from lineshaft.access.teams import Teams
from lineshaft.definitions.deprecation import leavings
from lineshaft.definitions.faults import Fault, refuse
from lineshaft.definitions.reach import Breaks, Reach, Readers, breaks
from lineshaft.definitions.reader import NO_TEAMS, Definitions
from lineshaft.definitions.rights import refused
from lineshaft.specs import LiveModel, OnDemandView, Service, View, format_duration

Definition = View | OnDemandView | Service


class Present(Protocol):
    """What the catalogue holds, frozen at one generation."""

    @property
    def generation(self) -> int:
        """How many applies there were."""
        ...

    def views(self) -> tuple[View, ...]:
        """Return the current views."""
        ...

    def on_demand_views(self) -> tuple[OnDemandView, ...]:
        """Return the current on-demand views."""
        ...

    def services(self) -> tuple[Service, ...]:
        """Return the current services."""
        ...


class Snapshots(Protocol):
    """A catalogue that can be looked at as of one generation."""

    def snapshot(self) -> Present:
        """Return what it holds now."""
        ...

    def pins(self) -> Mapping[str, Sequence[str]]:
        """Return which models pin which view, by "view@version"."""
        ...

    def live(self) -> Sequence[LiveModel]:
        """Return the models that hold a slot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One object that an apply would touch."""

    kind: str  # view | on-demand view | service
    name: str
    verdict: str  # new | new version | reworded | removed
    before: str = ""  # version
    after: str = ""
    details: tuple[str, ...] = ()  # what differs, one line each
    recomputes: str = ""  # what must be backfilled
    pinned_by: tuple[str, ...] = ()  # models that keep the old version
    breaking: tuple[str, ...] = ()  # what it takes from readers
    reaches: Reach = field(default_factory=Reach)
    costs: str = ""  # rows and time of the backfill, as measured here
    checks: tuple[str, ...] = ()  # where its suite says less than it declares, where that was asked

    def __str__(self) -> str:
        """Write the change as `lineshaft plan` prints it."""
        sign = {"new": "+", "removed": "-"}.get(self.verdict, "~")
        versions = " → ".join(v for v in (self.before, self.after) if v and self.before != self.after)
        lines = [f"{sign} {self.kind} {self.name}  {self.verdict} {versions}".rstrip()]
        lines += [f"    {detail}" for detail in self.details]
        lines += [f"    breaking: {words}" for words in self.breaking]
        for who in ("services", "models", "teams"):
            if getattr(self.reaches, who):
                lines.append(f"    {who}: {', '.join(getattr(self.reaches, who))}")
        if self.recomputes:
            lines.append(f"    backfill: {self.recomputes}")
        if self.costs:
            lines.append(f"    costs: {self.costs}")
        lines += [f"    checks: {words}" for words in self.checks]
        if self.pinned_by:
            lines.append(f"    keep {self.before}: {', '.join(self.pinned_by)}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an apply would do; `SqlCatalog.apply(plan, actor=…)` does it, if nobody was faster."""

    generation: int
    views: tuple[View, ...]
    on_demand: tuple[OnDemandView, ...]
    services: tuple[Service, ...]
    changes: tuple[Change, ...]
    faults: tuple[Fault, ...] = ()
    transfers: frozenset[str] = field(default=frozenset())

    @property
    def summary(self) -> str:
        """Return what changes, in one line."""
        if not self.changes:
            return "no changes"
        return ", ".join(f"{change.verdict} {change.kind} {change.name}" for change in self.changes)

    @property
    def exit_code(self) -> int:
        """Return 0 for no changes, 2 for changes, 1 for faults: what `lineshaft plan` exits with."""
        if any(not fault.warning for fault in self.faults):
            return 1
        return 2 if self.changes else 0

    def checked(self) -> Plan:
        """Return itself; raise `DefinitionError` with every fault that is not a warning."""
        refuse(self.faults)
        return self

    @property
    def empty(self) -> bool:
        """Tell whether an apply would change nothing."""
        return not self.changes

    def text(self) -> str:
        """Write faults first, then changes, as a person reads them."""
        parts = [*map(str, self.faults), *map(str, self.changes)]
        return "\n".join(parts or ["no changes"])

    def to_json(self) -> str:
        """Write faults and changes for a machine."""
        faults = [{**asdict(fault), "warning": fault.warning} for fault in self.faults]
        return json.dumps({"faults": faults, "changes": [asdict(change) for change in self.changes]})


def plan_changes(
    definitions: Definitions,
    catalog: Snapshots,
    *,
    transfers: frozenset[str] = frozenset(),
    allow_empty: bool = False,
    teams: Teams = NO_TEAMS,
    who: str = "",
    now_us: int = 0,
) -> Plan:
    """Compare definitions with what a catalogue holds, for somebody who would apply them.

    A name of another team is a fault unless in `transfers`; so is a repository that declares nothing, which is more
    often the wrong folder than the wish to remove everything, unless with `allow_empty`; what `who` may not do, by the
    `teams`; and what would take away something that a live model reads.
    """
    present = catalog.snapshot()
    comparing = _Comparing(
        definitions=definitions,
        pins=catalog.pins(),
        readers=Readers(services=(*present.services(), *definitions.services), live=catalog.live()),
        transfers=transfers,
        teams=teams,
        who=who,
    )
    faults = [*definitions.faults, *leavings(definitions, present.services(), now_us=now_us)]
    if not allow_empty:
        faults += _emptied(definitions, present)
    # An object with a fault is not read, which is no removal; nor is what a module that fails may declare.
    whole = definitions.whole and (bool(definitions.places) or all(fault.warning for fault in faults))
    groups: tuple[tuple[str, Sequence[Definition], Sequence[Definition]], ...] = (
        ("view", definitions.views, present.views()),
        ("on-demand view", definitions.on_demand, present.on_demand_views()),
        ("service", definitions.services, present.services()),
    )
    for kind, wanted, had in groups:
        before = {value.name: value for value in had}
        for value in wanted:
            old = before.pop(value.name, None)
            if old is None or not _same(old, value):
                comparing.compare(kind, old, value)
        if whole:
            for old in before.values():
                if (kind, old.name) not in definitions.places:
                    comparing.compare(kind, old, None)
    return Plan(
        generation=present.generation,
        views=definitions.views,
        on_demand=definitions.on_demand,
        services=definitions.services,
        changes=tuple(comparing.changes),
        faults=(*faults, *comparing.faults),
        transfers=transfers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparing:
    """One comparison: what is found goes into `changes` and `faults`."""

    definitions: Definitions
    pins: Mapping[str, Sequence[str]]
    readers: Readers
    transfers: frozenset[str]
    teams: Teams
    who: str
    changes: list[Change] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def compare(self, kind: str, old: Definition | None, new: Definition | None) -> None:
        """Note what is between the old and the new of one name."""
        change = _removed(kind, old, self.pins) if new is None and old is not None else None
        if new is not None:
            change = _change(kind, old, new, self.pins)
        if change is None:
            return
        taken = breaks(old, new) if old is not None else Breaks()
        reaches = self.readers.of(old) if old is not None else Reach()
        self.changes.append(replace(change, breaking=taken.words, reaches=reaches))
        if old is not None and new is not None and old.team != new.team and new.name not in self.transfers:
            self.faults.append(_foreign(kind, old, new, self.definitions))
        breaking = bool(taken.words)
        self.faults.extend(
            refused(self.definitions, self.teams, self.who, kind=kind, old=old, new=new, breaking=breaking)
        )
        if old is not None:
            for model, feature in self.readers.bereft(old, taken):
                self.faults.append(self._bereft(kind, old, model, feature, taken))

    def _bereft(self, kind: str, old: Definition, model: LiveModel, feature: str, taken: Breaks) -> Fault:
        reads = f"{old.name}__{feature}" if feature else old.name
        why = next((words for words in taken.words if feature and words.startswith(f"{feature} ")), taken.words[0])
        return self.definitions.fault(
            "LS-DEF-036",
            kind,
            old.name,
            f"live model {model} reads {reads}: {why}",
            fix="declare the new meaning beside it, under a name of its own, and train on that; "
            f"or take {model.ref} out of its slot first",
            near=feature,
            where=getattr(old, "where", ""),
        )


def _same(old: Definition, new: Definition) -> bool:
    """Tell whether nothing changed but the line it stands on."""
    if isinstance(old, View) and isinstance(new, View) and old.where != new.where:
        old = replace(old, where=new.where)
    return old == new


def _change(kind: str, old: Definition | None, new: Definition, pins: Mapping[str, Sequence[str]]) -> Change | None:
    recomputes = _recomputes(new) if isinstance(new, View) else ""
    if old is None:
        return Change(kind=kind, name=new.name, verdict="new", after=new.version, recomputes=recomputes)
    versions: dict[str, Any] = {"before": old.version, "after": new.version}
    if old.version == new.version:
        words = _words(old, new)
        return Change(kind=kind, name=new.name, verdict="reworded", details=words, **versions) if words else None
    return Change(
        kind=kind,
        name=new.name,
        verdict="new version",
        details=_details(old, new),
        recomputes=recomputes,
        pinned_by=tuple(pins.get(f"{old.name}@{old.version}", ())),
        **versions,
    )


def _removed(kind: str, old: Definition, pins: Mapping[str, Sequence[str]]) -> Change:
    return Change(
        kind=kind,
        name=old.name,
        verdict="removed",
        before=old.version,
        details=("its versions stay readable; new readers do not find it",),
        pinned_by=tuple(pins.get(f"{old.name}@{old.version}", ())),
    )


def _words(old: Definition, new: Definition) -> tuple[str, ...]:
    """Return what changed that makes no new version: people, prose, limits, and where rows made elsewhere lie."""
    names = ("team", "owner", "readers", "description", "ttl_us", "online", "tags")
    lines = _differing(old, new, names)
    if isinstance(old, View) and isinstance(new, View):
        lines += _differing(old.source, new.source, ("path", "timestamp_field", "created_field"), of="source ")
        for before, after in zip(old.features, new.features, strict=True):  # one version, so the same features
            lines += _differing(before, after, ("description",), of=f"feature {after.name}: ")
    return tuple(lines)


def _differing(old: object, new: object, names: Sequence[str], *, of: str = "") -> list[str]:
    """Return a line for each attribute that differs."""
    pairs = [(name, getattr(old, name, None), getattr(new, name, None)) for name in names]
    return [f"{of}{name}: {before} → {after}" for name, before, after in pairs if before != after]


def _details(old: Definition, new: Definition) -> tuple[str, ...]:
    """Return what makes the versions differ."""
    if isinstance(old, View) and isinstance(new, View):
        return _view_details(old, new)
    if isinstance(old, Service) and isinstance(new, Service):
        before, after = ({v.view: v for v in service.views} for service in (old, new))
        moved = [n for n in before.keys() & after.keys() if before[n].version != after[n].version]
        lines = [f"reads {n}@{after[n].version} instead of @{before[n].version}" for n in sorted(moved)]
        lines += [f"+ view {n}" for n in sorted(after.keys() - before.keys())]
        lines += [f"- view {n}" for n in sorted(before.keys() - after.keys())]
        lines += _differing(old, new, ("max_age_us", "required", "impute"))
        return tuple(lines) or ("features or on-demand functions changed",)
    return ("functions or inputs changed",)


def _view_details(old: View, new: View) -> tuple[str, ...]:
    before, after = ({f.name: f for f in view.features} for view in (old, new))
    lines = [f"+ {name}" for name in after if name not in before]
    lines += [f"- {name}" for name in before if name not in after]
    lines += [f"~ {name}" for name in after if name in before and _meaning(before[name]) != _meaning(after[name])]
    if not lines and old.feature_names != new.feature_names:
        lines.append("features in another order")
    if old.entity_keys != new.entity_keys:
        keys = [", ".join(f"{name} {dtype}" for name, dtype in view.entity_keys) for view in (old, new)]
        lines.append(f"keys: {keys[0]} → {keys[1]}")
    for name in ("tile_us", "grace_us", "lateness_us"):
        if getattr(old, name) != getattr(new, name):
            what = name.removesuffix("_us").replace("tile", "slide")
            lines.append(f"{what}: {format_duration(getattr(old, name))} → {format_duration(getattr(new, name))}")
    if any(getattr(old.source, n) != getattr(new.source, n) for n in ("name", "channels", "units", "kind")):
        lines.append(f"source {old.source.name} → {new.source.name}, its channels or units")
    code_before, code_after = dict(old.code_versions), dict(new.code_versions)
    moved = [k for k in code_before.keys() & code_after.keys() if code_before[k] != code_after[k]]
    lines += [f"code of {k}: {code_before[k]} → {code_after[k]}" for k in sorted(moved)]
    return tuple(lines)


def _meaning(feature: object) -> tuple[object, ...]:
    return tuple(getattr(feature, name) for name in ("column", "function", "window_us", "dtype", "unit"))


def _recomputes(view: View) -> str:
    if view.source.kind == "rows":
        return f"{len(view.features)} features copied from {view.source.path}"
    every = format_duration(view.tile_us)
    return f"{len(view.features)} features of {view.source.name}, every {every}: `lineshaft backfill {view.name}`"


def _emptied(definitions: Definitions, present: Present) -> list[Fault]:
    """Return the fault of a repository that declares nothing where the catalogue holds something."""
    held = len(present.views()) + len(present.on_demand_views()) + len(present.services())
    if not held or definitions.views or definitions.on_demand or definitions.services or definitions.faults:
        return []
    return [
        Fault(
            code="LS-DEF-032",
            what=f"the feature repository declares nothing: an apply would remove all {held} views and services",
            fix="check the folder (LINESHAFT_REPO); `--allow-empty` if that is what you want",
        )
    ]


def _foreign(kind: str, old: Definition, new: Definition, definitions: Definitions) -> Fault:
    return definitions.fault(
        "LS-DEF-028",
        kind,
        new.name,
        f'{kind} "{new.name}" belongs to team {old.team} ({old.owner}), not {new.team}',
        fix=f"choose another name, or let {old.owner} approve the transfer",
        where=getattr(new, "where", ""),
    )
