"""Read Feast's objects into plain values: fresh from a repository, or as a Feast registry gives them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import feast
from feast.data_source import DataSource, KafkaSource, PushSource

from lineshaft.definitions import written
from lineshaft.definitions.written import Written

KINDS: tuple[type[Any], ...] = (
    feast.Entity,
    DataSource,
    feast.OnDemandFeatureView,
    feast.FeatureView,
    feast.FeatureService,
)


def read_object(value: Any) -> Written:
    """Return what an object of one of `KINDS` says."""
    if isinstance(value, feast.Entity):
        kind = getattr(value.value_type, "name", "")
        return written.Entity(join_key=value.join_key, value_type=kind, **_words(value))
    if isinstance(value, DataSource):
        return _data_source(value)
    if isinstance(value, feast.OnDemandFeatureView):
        return _on_demand(value)
    if isinstance(value, feast.FeatureView):
        return _view(value)
    return written.FeatureService(references=_references(value), **_words(value))


def read_view(value: Any) -> written.FeatureView:
    """Return what a feature view says."""
    return _view(value)


def read_on_demand(value: Any) -> written.OnDemandFeatureView:
    """Return what an on-demand view says."""
    return _on_demand(value)


def _words(value: Any) -> dict[str, Any]:
    return {
        "name": str(value.name),
        "owner": str(getattr(value, "owner", "") or ""),
        "description": str(value.description or ""),
        "tags": _texts(value.tags),
    }


def _texts(pairs: Mapping[Any, Any] | None) -> dict[str, str]:
    return {str(name): str(text) for name, text in (pairs or {}).items()}


def _source(value: Any) -> written.DataSource | None:
    return None if value is None else _data_source(value)


def _data_source(value: Any) -> written.DataSource:
    kind: type[written.DataSource] = written.DataSource
    place = str(getattr(value, "path", "") or "")
    if isinstance(value, KafkaSource):
        kind = written.KafkaSource
        place = f"{value.kafka_options.kafka_bootstrap_servers}/{value.kafka_options.topic}"
    elif isinstance(value, PushSource):
        kind, place = written.PushSource, str(getattr(value.batch_source, "path", "") or "")
    return kind(
        place=place,
        timestamp_field=value.timestamp_field or "",
        created_timestamp_column=value.created_timestamp_column or "",
        field_mapping=_texts(value.field_mapping),
        **_words(value),
    )


def _view(value: Any) -> written.FeatureView:
    said: dict[str, Any] = {
        "entities": tuple(value.entities),
        "entity_columns": _fields(value.entity_columns),
        "features": _fields(value.features),
        "ttl": value.ttl,
        "online": bool(value.online),
        "batch_source": _source(value.batch_source),
        "stream_source": _source(getattr(value, "stream_source", None)),
        **_words(value),
    }
    if not isinstance(value, feast.StreamFeatureView):
        return written.FeatureView(**said)
    coded = value.feature_transformation is not None
    return written.StreamFeatureView(aggregations=_aggregations(value), carries_code=coded, **said)


def _on_demand(value: Any) -> written.OnDemandFeatureView:
    requests = value.source_request_sources.values()
    return written.OnDemandFeatureView(
        features=_fields(value.features),
        aggregations=_aggregations(value),
        sources=tuple(value.source_feature_view_projections),
        request_fields=_fields(field for source in requests for field in source.schema),
        carries_code=value.feature_transformation is not None,
        **_words(value),
    )


def _fields(fields: Iterable[Any]) -> tuple[written.Field, ...]:
    return tuple(
        written.Field(name=f.name, dtype=str(f.dtype), tags=_texts(f.tags), description=f.description or "")
        for f in fields
    )


def _aggregations(value: Any) -> tuple[written.Aggregation, ...]:
    names = ("name", "column", "function", "time_window", "slide_interval")
    return tuple(written.Aggregation(**{name: getattr(one, name) for name in names}) for one in value.aggregations)


def _references(service: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the views a service names with the features it picks; none means all."""
    picked = [(p.name, tuple(f.name for f in p.features)) for p in service.feature_view_projections]
    for reference in getattr(service, "_pending_feature_refs", ()):
        name, _, feature = str(reference).partition(":")
        picked.append((name.partition("@")[0], (feature,) if feature else ()))
    return tuple(picked)
