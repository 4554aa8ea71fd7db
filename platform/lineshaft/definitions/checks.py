"""Find everything wrong with a repository at once; each fault has a stable code, a place and a way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lineshaft.definitions.compiler import (
    DTYPES,
    IMPUTE_TAG,
    KEY_DTYPES,
    MAX_AGE_TAG,
    REQUIRED_TAG,
    TEAM_TAG,
    inputs_of,
    named,
)
from lineshaft.definitions.conflicts import conflicts
from lineshaft.definitions.faults import Fault
from lineshaft.definitions.loader import Declared, Repository
from lineshaft.definitions.places import mentions
from lineshaft.definitions.tags import check_tags
from lineshaft.definitions.views import check_batch_view, check_channels, check_stream_view, feature_names
from lineshaft.definitions.words import parse_constants, parse_duration
from lineshaft.definitions.written import (
    DataSource,
    Entity,
    FeatureService,
    FeatureView,
    OnDemandFeatureView,
    StreamFeatureView,
)
from lineshaft.errors import LineshaftError, nearest
from lineshaft.tiles import ondemand
from lineshaft.tiles.request_data import REQUEST_DTYPES

_OWNED = (Entity, FeatureView, OnDemandFeatureView, FeatureService)
_TEAMED = (FeatureView, OnDemandFeatureView, FeatureService)


def check(repository: Repository) -> tuple[tuple[Fault, ...], frozenset[int]]:
    """Return all faults in order of place, and the ids of the objects that cannot be compiled."""
    faults = list(repository.faults)
    broken: list[Declared] = []
    known = _Known.of(repository)
    for declared in repository.declared:
        own = [*_naming(known, declared), *_body(repository, declared, known)]
        faults += own
        if any(not fault.warning for fault in own):
            broken.append(declared)
    unsound = [declared.value for declared in broken if isinstance(declared.value, DataSource | Entity)]
    ids = {id(declared.value) for declared in broken}
    ids |= {id(one.value) for one in known.twins}  # which of two would count is nobody's to say
    if unsound:
        ids |= {id(d.value) for d in repository.of(FeatureView) if _stands_on(repository, d.value, unsound)}
    faults += conflicts(repository)
    return tuple(sorted(dict.fromkeys(faults), key=lambda f: (_place(f.where), f.code))), frozenset(ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What one object may ask about all the others."""

    first: Mapping[tuple[str, str], Declared]  # of each kind and name
    twins: tuple[Declared, ...]  # those that share one
    views: Mapping[str, list[str]]  # features by view
    everything: Mapping[str, list[str]]  # on-demand ones too
    dtypes: Mapping[str, str]  # by "view__feature"
    asked: Mapping[str, str]  # types of what requests say
    whole: bool  # every module could be imported: what is not known is not there

    @staticmethod
    def of(repository: Repository) -> _Known:
        named: dict[tuple[str, str], list[Declared]] = {}
        for declared in repository.declared:
            named.setdefault((_kind(declared), declared.value.name), []).append(declared)
        first = {key: several[0] for key, several in named.items()}
        twins = tuple(one for several in named.values() if len(several) > 1 for one in several)
        demands = repository.of(OnDemandFeatureView)
        views: dict[str, list[str]] = {}
        for d in repository.of(FeatureView):  # of two that share a name, either may be meant
            views.setdefault(d.value.name, []).extend(feature_names(d.value))
        everything = {d.value.name: [f.name for f in d.value.features] for d in demands} | views
        viewed = (*repository.of(FeatureView), *demands)
        dtypes = {f"{d.value.name}__{f.name}": DTYPES.get(f.dtype, "") for d in viewed for f in d.value.features}
        asked = {f.name: f.dtype for d in reversed(demands) for f in d.value.request_fields}  # the first one counts
        return _Known(
            first=first,
            twins=twins,
            views=views,
            everything=everything,
            dtypes=dtypes,
            asked=asked,
            whole=not repository.faults,
        )


def _stands_on(repository: Repository, view: Any, unsound: list[Any]) -> bool:
    """Tell whether a source or an entity that a view cannot be compiled without is at fault."""
    return view.source in unsound or any(repository.keys.get(name) in unsound for name in view.entities)


def _place(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return file, int(line) if line.isdigit() else 0


def _naming(known: _Known, declared: Declared) -> Iterator[Fault]:
    """Check what every object must have: a name of its own, an owner, a team, tags that somebody reads."""
    value, kind = declared.value, _kind(declared)
    twin = known.first[kind, value.name]
    if twin is not declared:
        theirs, ours = twin.value.tags.get(TEAM_TAG, ""), value.tags.get(TEAM_TAG, "")
        whose = f", by team {theirs}" if theirs != ours else ""
        yield declared.fault(
            "LS-DEF-004",
            f'{kind} "{value.name}" is declared at {twin.where} too{whose}',
            fix="rename one, or import it",
            near=mentions(value.name),
        )
    if "__" in value.name or not value.name.isidentifier():
        yield declared.fault(
            "LS-DEF-027",
            f'{kind} name "{value.name}" cannot be part of `view__feature`',
            fix="use a_b, not a__b or a-b",
        )
    if isinstance(value, _OWNED) and not value.owner:
        yield declared.fault("LS-DEF-005", f'{kind} "{value.name}" has no owner', fix='add owner="team@company"')
    if isinstance(value, _TEAMED) and not value.tags.get(TEAM_TAG):
        yield declared.fault("LS-DEF-006", f'{kind} "{value.name}" has no team', fix='add tags={"team": "…"}')
    yield from check_tags(declared, kind)


def _body(repository: Repository, declared: Declared, known: _Known) -> Iterator[Fault]:
    """Check what an object of its kind must get right."""
    value = declared.value
    if isinstance(value, Entity):
        yield from _entity(declared)
    elif isinstance(value, DataSource):
        yield from check_channels(declared)
    elif isinstance(value, StreamFeatureView):
        yield from check_stream_view(repository, declared)
    elif isinstance(value, FeatureView):
        yield from check_batch_view(repository, declared)
    elif isinstance(value, OnDemandFeatureView):
        yield from _on_demand(repository, declared, known)
    elif isinstance(value, FeatureService):
        yield from _service(declared, known)


def _entity(declared: Declared) -> Iterator[Fault]:
    entity = declared.value
    if entity.value_type not in KEY_DTYPES:
        yield declared.fault(
            "LS-DEF-008",
            f'entity "{entity.name}" has value type {entity.value_type}, which cannot be a key',
            fix="use ValueType.STRING, INT64 or INT32",
            near=mentions("value_type"),
        )


def _on_demand(repository: Repository, declared: Declared, known: _Known) -> Iterator[Fault]:
    """Check that an on-demand view names functions and features that exist, and carries no code."""
    view = declared.value
    if view.carries_code or not view.aggregations:
        yield declared.fault(
            "LS-DEF-024",
            f'on-demand view "{view.name}" carries code instead of naming a function',
            fix='use aggregations=[Aggregation(column="view__feature", function="ratio", name=…)]',
        )
    names = [aggregation.name for aggregation in view.aggregations]
    if sorted(names) != sorted(field.name for field in view.features):
        yield declared.fault(
            "LS-DEF-019",
            f'on-demand view "{view.name}": schema and aggregations differ',
            fix="one Field per aggregation",
        )
    for field in view.features:
        if field.dtype not in DTYPES:
            yield declared.fault(
                "LS-DEF-025", f"type {field.dtype} of {field.name} is not supported", fix="use Float64"
            )
    yield from _request(repository, declared, known)
    for aggregation in view.aggregations:
        yield from _on_demand_inputs(declared, aggregation, known.views)
        yield from _on_demand_function(declared, aggregation)


def _request(repository: Repository, declared: Declared, known: _Known) -> Iterator[Fault]:
    """Check what an on-demand view reads of the request: numbers, each meaning one thing in the whole repository."""
    taken = {entity.join_key for entity in repository.keys.values()} | {"event_time", "known_at"}
    for field in declared.value.request_fields:
        dtype, what = field.dtype, f'request field "{field.name}" '
        if DTYPES.get(dtype) not in REQUEST_DTYPES:
            what, fix = f"{what}is {dtype}, and no number", "use Float64 or Int64"
        elif field.name in taken or "__" in field.name:
            what, fix = (
                f"{what}is called like a key, a time or a feature",
                "give it a name of its own, with no __ in it",
            )
        elif known.asked[field.name] != dtype:
            what, fix = (
                f"{what}is {dtype} here and {known.asked[field.name]} elsewhere",
                "declare one RequestSource, and share it",
            )
        else:
            continue
        yield declared.fault("LS-DEF-034", what, fix=fix, near=mentions(field.name))


def _on_demand_inputs(declared: Declared, aggregation: Any, known: Mapping[str, list[str]]) -> Iterator[Fault]:
    given, inputs = {field.name for field in declared.value.request_fields}, inputs_of(aggregation)
    if inputs and all(text in given and "__" not in text for text in inputs):
        what = f'on-demand feature "{aggregation.name}" reads nothing but the request'
        yield declared.fault(
            "LS-DEF-020", what, fix="let it read a feature too: view__feature", near=mentions(inputs[0])
        )
    for text in inputs:
        if text in given:
            continue
        view, _, feature = text.partition("__")
        sources = declared.value.sources
        if view not in sources:
            fix = f"add {view} to its sources" if view in known else nearest(view, known)
            if not feature:
                fix = f'write view__feature, or add a RequestSource with a field "{text}"'
            yield declared.fault(
                "LS-DEF-020", f'input "{text}" is of no source of the view', fix=fix, near=mentions(text)
            )
        elif feature not in known.get(view, ()):
            yield declared.fault(
                "LS-DEF-020",
                f'input "{text}" does not exist',
                fix=nearest(feature, known.get(view, ())),
                near=mentions(text),
            )


def _on_demand_function(declared: Declared, aggregation: Any) -> Iterator[Fault]:
    near = mentions(aggregation.function)
    try:
        function = ondemand.ondemand(aggregation.function)
    except LineshaftError as error:
        yield declared.fault("LS-DEF-021", error.what, fix=error.fix, near=near)
        return
    given, wanted = len(inputs_of(aggregation)), len(function.inputs)
    if given != wanted:
        what = f'on-demand function "{aggregation.function}" takes {wanted} inputs, not {given}'
        yield declared.fault("LS-DEF-022", what, fix="list them in `column`, comma separated", near=near)


def _service(declared: Declared, known: _Known) -> Iterator[Fault]:
    """Check that a service names declared views and features, as far as all that is declared could be read."""
    everything = known.everything
    if not known.whole and any(name not in everything for name, _ in declared.value.references):
        return
    for name, features in declared.value.references:
        if name not in everything:
            yield declared.fault(
                "LS-DEF-023",
                f'service "{declared.value.name}" names view "{name}", which is not declared',
                fix=nearest(name, everything),
                near=mentions(name),
            )
            continue
        for feature in features:
            if feature not in everything[name]:
                yield declared.fault(
                    "LS-DEF-023",
                    f'service "{declared.value.name}" names feature "{name}:{feature}", which is not declared',
                    fix=nearest(feature, everything[name]),
                    near=mentions(feature),
                )
    yield from _rules(declared, everything, known.dtypes)


def _rules(declared: Declared, everything: Mapping[str, list[str]], dtypes: Mapping[str, str]) -> Iterator[Fault]:
    """Check a service's own rules: an age that can be read, columns that it has, values that fit."""
    service = declared.value
    try:
        parse_duration(service.tags.get(MAX_AGE_TAG, "0s"))
    except ValueError as error:
        what = f'tag {MAX_AGE_TAG} of service "{service.name}": {error}'
        yield declared.fault("LS-DEF-018", what, fix="write 10m", near=mentions(MAX_AGE_TAG))
    has = {
        f"{name}__{feature}"
        for name, features in service.references
        for feature in features or everything.get(name, [])
    }
    for column in named(service.tags.get(REQUIRED_TAG, "")):
        if column not in has:
            yield declared.fault(
                "LS-DEF-023",
                f'service "{service.name}" requires "{column}", which is not among its columns',
                fix=nearest(column, has),
                near=mentions(column),
            )
    yield from _imputed(declared, has, dtypes)


def _imputed(declared: Declared, has: Collection[str], dtypes: Mapping[str, str]) -> Iterator[Fault]:
    """Check what a service imputes: values of the columns' types, in columns that it has and can do without."""
    service = declared.value
    try:
        constants = parse_constants(service.tags.get(IMPUTE_TAG, ""), dtypes)
    except ValueError as error:
        what = f'tag {IMPUTE_TAG} of service "{service.name}": {error}'
        yield declared.fault("LS-DEF-033", what, fix="write view__feature=0.5", near=mentions(IMPUTE_TAG))
        return
    for column, _ in constants:
        what = f'service "{service.name}" imputes "{column}", which '
        if column not in has:
            fix = nearest(column, has)
            yield declared.fault("LS-DEF-033", what + "is not among its columns", fix=fix, near=mentions(column))
        elif column in named(service.tags.get(REQUIRED_TAG, "")):
            fix = "take it out of one of the two tags"
            yield declared.fault("LS-DEF-033", what + "it requires", fix=fix, near=mentions(column))


def _kind(declared: Declared) -> str:
    """Return what an object is called in a message."""
    value = declared.value
    if isinstance(value, DataSource):
        return "source"
    if isinstance(value, OnDemandFeatureView):
        return "on-demand view"
    if isinstance(value, FeatureView):
        return "view"
    return "service" if isinstance(value, FeatureService) else "entity"
