"""Where teams contradict one another in one repository: one meaning under two names, two units, two types of a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from lineshaft.access.teams import Teams
from lineshaft.definitions.compiler import CHANNELS_TAG, TEAM_TAG
from lineshaft.definitions.faults import Fault
from lineshaft.definitions.loader import Declared, Repository
from lineshaft.definitions.places import mentions
from lineshaft.definitions.words import parse_channels
from lineshaft.definitions.written import (
    Entity,
    FeatureService,
    FeatureView,
    KafkaSource,
    OnDemandFeatureView,
    PushSource,
    StreamFeatureView,
)
from lineshaft.errors import nearest
from lineshaft.specs import OnDemandView
from lineshaft.tiles import ondemand


def conflicts(repository: Repository) -> Iterator[Fault]:
    """Find what two objects of a repository say against each other."""
    yield from _same_meaning(repository)
    yield from _key_types(repository)
    yield from _units(repository)


def strangers(repository: Repository, teams: Teams) -> Iterator[Fault]:
    """Find objects of teams that the teams file does not know; a file that names no team knows all."""
    if not teams.names:
        return
    for declared in repository.of(FeatureView, OnDemandFeatureView, FeatureService):
        team = declared.value.tags.get(TEAM_TAG, "")
        if team and team not in teams.names:
            what = f'team "{team}" of "{declared.value.name}" is not in the teams file'
            fix = f"{nearest(team, teams.names)} Or add it to teams.yaml with its owners"
            yield declared.fault("LS-DEF-040", what, fix=fix, near=mentions(team))


def unlike_units(declared: Declared, view: OnDemandView, units: dict[str, str]) -> Iterator[Fault]:
    """Find on-demand features that compare numbers of unlike units: functions that keep the unit of what they read."""
    for feature in view.features:
        given = [units.get(name, "") for name in feature.inputs]
        if "{unit}" not in ondemand.ondemand(feature.function).unit or len(set(filter(None, given))) < 2:
            continue
        said = ", ".join(f"{name} [{unit}]" for name, unit in zip(feature.inputs, given, strict=True))
        what = f'on-demand feature "{view.name}__{feature.name}" takes the {feature.function} of unlike units: {said}'
        fix = "read features of one unit, or convert one of them where it is computed"
        yield declared.fault("LS-DEF-039", what, fix=fix, near=mentions(feature.inputs[0]))


def _same_meaning(repository: Repository) -> Iterator[Fault]:
    """Show views that compute the same from the same source."""
    seen: dict[tuple[Any, ...], Declared] = {}
    for declared in repository.of(StreamFeatureView):
        view = declared.value
        meaning = sorted((a.column, a.function, str(a.time_window), str(a.slide_interval)) for a in view.aggregations)
        key = (view.source.name if view.source else "", view.entities, tuple(meaning))
        first = seen.setdefault(key, declared)
        if first is not declared and first.value.name != view.name:
            yield declared.fault(
                "LS-DEF-029",
                f'view "{view.name}" means the same as "{first.value.name}" of {first.where}{_by(first, declared)}',
                fix="use that one in your services, or say what differs",
            )


def _key_types(repository: Repository) -> Iterator[Fault]:
    """Find entities that give one join key two types: rows of one would never meet those of the other."""
    used = Counter(name for declared in repository.of(FeatureView) for name in declared.value.entities)
    seen: dict[str, Declared] = {}
    for declared in sorted(repository.of(Entity), key=lambda d: -used[d.value.name]):  # what most use is meant
        entity = declared.value
        first = seen.setdefault(entity.join_key, declared)
        if first.value.value_type != entity.value_type:
            yield declared.fault(
                "LS-DEF-037",
                f'join key "{entity.join_key}" is {entity.value_type} here and {first.value.value_type} at '
                f"{first.where}",
                fix=f'import entity "{first.value.name}", or name the key apart',
                near=mentions(entity.value_type),
            )


def _units(repository: Repository) -> Iterator[Fault]:
    """Find sources that read one place and give a channel two units, and views that do so of a file's column."""
    seen: dict[tuple[str, str], tuple[str, Declared]] = {}
    for declared, place, column, unit, near in _measured(repository):
        said, first = seen.setdefault((place, column), (unit, declared))
        if said != unit:
            yield declared.fault(
                "LS-DEF-038",
                f'"{column}" of {place} is in {unit} here and in {said} at {first.where}{_by(first, declared)}',
                fix=f"say one unit, or import what {first.where} declares",
                near=mentions(near),
            )


def _measured(repository: Repository) -> Iterator[tuple[Declared, str, str, str, str]]:
    """Return each column that has a unit, with the place it is read from, and what is written there."""
    used = Counter(d.value.source.name for d in repository.of(FeatureView) if d.value.source is not None)
    for declared in sorted(repository.of(PushSource, KafkaSource), key=lambda d: -used[d.value.name]):
        source = declared.value
        try:
            channels = parse_channels(source.tags.get(CHANNELS_TAG, ""))
        except ValueError:  # it says so itself
            continue
        for name, unit in channels:
            if source.place:
                yield declared, source.place, name, unit, f"{name} [{unit}]"
    for declared in repository.of(FeatureView):
        view = declared.value
        if isinstance(view, StreamFeatureView) or view.source is None or not view.source.place:
            continue
        columns = {name: raw for raw, name in view.source.field_mapping.items()}
        for field in view.features:
            if field.tags.get("unit"):
                yield declared, view.source.place, columns.get(field.name, field.name), field.tags["unit"], field.name


def _by(first: Declared, declared: Declared) -> str:
    """Say whose the first is, where it is another team's."""
    theirs, ours = (one.value.tags.get(TEAM_TAG, "") for one in (first, declared))
    return f", of team {theirs}" if theirs and theirs != ours else ""
