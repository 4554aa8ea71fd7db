"""What is written down to frozen specs: the only place that knows both vocabularies.

Works on what a repository declares and on the same read back from a Feast registry: both compile to the same version,
so Feast's client and Lineshaft's own name one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lineshaft.definitions.words import parse_channels, parse_constants, parse_duration
from lineshaft.definitions.written import Entity, FeatureService, FeatureView, OnDemandFeatureView, StreamFeatureView
from lineshaft.specs import Feature, OnDemandFeature, OnDemandView, Service, ServiceView, Source, View
from lineshaft.tiles import catalogue, ondemand

DTYPES = {
    "Float64": "float64",
    "Float32": "float32",
    "Int64": "int64",
    "Int32": "int32",
    "Bool": "bool",
    "String": "string",
    "Bytes": "bytes",
    "UnixTimestamp": "timestamp",
}
"""Feast field types by the dtypes of ours."""

KEY_DTYPES = {"STRING": "string", "INT64": "int64", "INT32": "int32"}
"""Value types that an entity key may have."""

CHANNELS_TAG, GRACE_TAG, LATENESS_TAG = "lineshaft.channels", "lineshaft.grace", "lineshaft.lateness"
TEAM_TAG, READERS_TAG = "team", "readers"
DEPRECATED_TAG, INSTEAD_TAG = "lineshaft.deprecated", "lineshaft.instead"
MAX_AGE_TAG, REQUIRED_TAG, IMPUTE_TAG = "lineshaft.max_age", "lineshaft.required", "lineshaft.impute"
DEFAULT_LATENESS = "7d"


def compile_view(view: FeatureView, *, entities: Mapping[str, Entity] | None = None, where: str = "") -> View:
    """Compile a stream view (computed features) or a plain one (rows computed elsewhere).

    `entities` by name give the keys of a view that was never applied; a view from a registry knows its own.
    """
    stream = isinstance(view, StreamFeatureView)
    source = _block_source(view) if stream else _row_source(view)
    features = _computed(view, source) if stream else _stored(view)
    return View(
        name=view.name,
        source=source,
        entity_keys=_keys(view, entities),
        features=features,
        ttl_us=_microseconds(view.ttl),
        team=view.tags.get(TEAM_TAG, ""),
        owner=view.owner,
        description=view.description,
        where=where,
        code_versions=_code_versions(features) if stream else (),
        online=view.online,
        tags=tuple(sorted((str(k), str(v)) for k, v in view.tags.items())),
        **_timing(view, stream=stream),
    )


def compile_on_demand(view: OnDemandFeatureView, *, units: Mapping[str, str]) -> OnDemandView:
    """Compile an on-demand view: its aggregations name the function and, in `column`, the features it reads.

    `units` are those of the features read, by "view__feature".
    """
    dtypes = {field.name: DTYPES[field.dtype] for field in view.features}
    features = tuple(
        OnDemandFeature(
            name=aggregation.name,
            function=aggregation.function,
            inputs=inputs_of(aggregation),
            dtype=dtypes.get(aggregation.name, "float64"),
            unit=_on_demand_unit(aggregation, units),
        )
        for aggregation in view.aggregations
    )
    return OnDemandView(
        name=view.name,
        features=features,
        request_fields=tuple((field.name, DTYPES[field.dtype]) for field in view.request_fields),
        team=view.tags.get(TEAM_TAG, ""),
        owner=view.owner,
        description=view.description,
    )


def compile_service(
    service: FeatureService, *, views: Mapping[str, View], on_demand: Mapping[str, OnDemandView]
) -> Service:
    """Compile a service against the views of the same reading; their versions become its pins.

    What its on-demand features read is part of it, asked for or not: an answer must be explainable from itself.
    """
    wanted: dict[str, list[str]] = {}
    demands = []
    for name, features in service.references:
        if name in on_demand:
            whole = on_demand[name]
            demands.append(whole.only(features) if features else whole)
        else:
            chosen = wanted.setdefault(name, [])
            chosen += [f for f in features or views[name].feature_names if f not in chosen]
    for demand in demands:
        for reference in (text for feature in demand.features for text in feature.features_read):
            name, feature = reference.split("__", 1)
            if name in views and feature not in wanted.setdefault(name, []):
                wanted[name].append(feature)
    dtypes = {f"{name}__{f.name}": f.dtype for name in wanted for f in views[name].features}
    dtypes |= {f"{demand.name}__{f.name}": f.dtype for demand in demands for f in demand.features}
    return Service(
        name=service.name,
        views=tuple(ServiceView(view=n, version=views[n].version, features=tuple(f)) for n, f in wanted.items()),
        on_demand=tuple(demands),
        team=service.tags.get(TEAM_TAG, ""),
        owner=service.owner,
        readers=named(service.tags.get(READERS_TAG, "")),
        max_age_us=parse_duration(service.tags.get(MAX_AGE_TAG, "0s")),
        required=named(service.tags.get(REQUIRED_TAG, "")),
        impute=parse_constants(service.tags.get(IMPUTE_TAG, ""), dtypes),
        description=service.description,
    )


def named(text: str) -> tuple[str, ...]:
    """Return names written with commas between them, each once, in order.

    >>> named("b, a,b")
    ('a', 'b')
    """
    return tuple(sorted({name.strip() for name in text.split(",")} - {""}))


def inputs_of(aggregation: Any) -> tuple[str, ...]:
    """Return what an on-demand aggregation reads: "view__feature", comma separated in `column`."""
    return tuple(part.strip() for part in aggregation.column.split(",") if part.strip())


def _on_demand_unit(aggregation: Any, units: Mapping[str, str]) -> str:
    """Return the unit of an on-demand feature: "{unit}" is its first input's."""
    first = next(iter(inputs_of(aggregation)), "")
    return ondemand.ondemand(aggregation.function).unit.replace("{unit}", units.get(first, ""))


def _keys(view: FeatureView, entities: Mapping[str, Entity] | None) -> tuple[tuple[str, str], ...]:
    if entities is None:
        return tuple((field.name, DTYPES[field.dtype]) for field in view.entity_columns)
    found = [entities[name] for name in view.entities if name in entities]
    return tuple((entity.join_key, KEY_DTYPES.get(entity.value_type, "string")) for entity in found)


def _block_source(view: Any) -> Source:
    source = view.source
    channels = parse_channels(source.tags[CHANNELS_TAG])
    return Source(name=source.name, channels=tuple(n for n, _ in channels), units=tuple(u for _, u in channels))


def _row_source(view: Any) -> Source:
    source = view.batch_source
    return Source(
        name=source.name,
        channels=tuple(field.name for field in view.features),
        units=tuple(field.tags.get("unit", "") for field in view.features),
        kind="rows",
        path=source.place,
        timestamp_field=source.timestamp_field,
        created_field=source.created_timestamp_column,
    )


def _computed(view: Any, source: Source) -> tuple[Feature, ...]:
    units = dict(zip(source.channels, source.units, strict=True))
    features = []
    for aggregation in view.aggregations:
        function = catalogue.function(aggregation.function)
        features.append(
            Feature(
                name=aggregation.name,
                column=aggregation.column,
                function=function.name,
                window_us=_microseconds(aggregation.time_window),
                unit=function.unit.replace("{unit}", units.get(aggregation.column, "")),
            )
        )
    return tuple(features)


def _stored(view: Any) -> tuple[Feature, ...]:
    columns = {name: raw for raw, name in view.batch_source.field_mapping.items()}
    return tuple(
        Feature(
            name=field.name,
            column=columns.get(field.name, field.name),
            dtype=DTYPES[field.dtype],
            unit=field.tags.get("unit", ""),
            description=field.description,
        )
        for field in view.features
        if field.name not in {column.name for column in view.entity_columns}
    )


def _timing(view: Any, *, stream: bool) -> dict[str, int]:
    """Return tile, grace and lateness; rows computed elsewhere are known when they say so."""
    if not stream:
        return {"grace_us": 0, "lateness_us": 0}
    return {
        "tile_us": _microseconds(view.aggregations[0].slide_interval),
        "grace_us": parse_duration(view.tags.get(GRACE_TAG, "0s")),
        "lateness_us": parse_duration(view.tags.get(LATENESS_TAG, DEFAULT_LATENESS)),
    }


def _code_versions(features: Sequence[Feature]) -> tuple[tuple[str, int], ...]:
    """Return the declared versions of every function and aggregator behind the features, sorted by name."""
    used = {}
    for function in {feature.function for feature in features}:
        entry = catalogue.function(function)
        used[entry.name] = entry.version
        used.update({aggregator.key: aggregator.version for aggregator in entry.needs})
    return tuple(sorted(used.items()))


def _microseconds(duration: Any) -> int:
    """Return a timedelta as whole microseconds; None is 0."""
    return 0 if duration is None else (duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds
