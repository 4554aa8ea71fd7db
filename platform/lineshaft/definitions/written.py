"""What a repository writes down, as plain values: Feast's objects without Feast, named like them.

Checks and compiler read these alone, so that a file that did not change need not be imported again to be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A typed column of a schema."""

    name: str
    dtype: str  # as Feast writes it: "Float64", "Array(String)"
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """A feature by a function of a column over a window; on demand, a function of the features that `column` lists."""

    name: str
    column: str
    function: str
    time_window: timedelta | None = None
    slide_interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What every object says of itself."""

    name: str
    owner: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity(Written):
    """What features are about."""

    join_key: str
    value_type: str  # Feast's name of it: "STRING"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource(Written):
    """Where rows or samples come from."""

    place: str = ""  # the file or topic that is read
    timestamp_field: str = ""
    created_timestamp_column: str = ""
    field_mapping: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSource(DataSource):
    """Blocks of samples that are pushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSource(DataSource):
    """Blocks of samples from a topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureView(Written):
    """Features computed elsewhere; the entities are named."""

    entities: tuple[str, ...]
    entity_columns: tuple[Field, ...] = ()
    features: tuple[Field, ...]
    ttl: timedelta | None = None
    online: bool = True
    batch_source: DataSource | None = None
    stream_source: DataSource | None = None

    @property
    def source(self) -> DataSource | None:
        """Return the stream source, or the batch source of a plain view."""
        return self.stream_source or self.batch_source


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFeatureView(FeatureView):
    """Features that we compute."""

    aggregations: tuple[Aggregation, ...] = ()
    carries_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandFeatureView(Written):
    """Features computed from other features of an answer."""

    features: tuple[Field, ...]
    aggregations: tuple[Aggregation, ...] = ()
    sources: tuple[str, ...] = ()  # views it reads
    request_fields: tuple[Field, ...] = ()
    carries_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureService(Written):
    """Views with the features picked of each; none picked means all."""

    references: tuple[tuple[str, tuple[str, ...]], ...]
