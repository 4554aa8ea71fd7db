"""What teams declare, after it was read from Feast objects: frozen, JSON-able, versioned by meaning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

SECOND_US = 1_000_000

Constant: TypeAlias = float | int | bool | str
"""A value that a definition states."""


def format_duration(us: int) -> str:
    """Write microseconds the short way.

    >>> format_duration(3_600_000_000), format_duration(300_000_000), format_duration(90_000_000)
    ('1h', '5m', '90s')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        if us % (size * SECOND_US) == 0 and us:
            return f"{us // (size * SECOND_US)}{unit}"
    return f"{us}us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A raw source of blocks: its channels, in payload order, with their units."""

    name: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    kind: str = "blocks"  # "blocks" (raw samples) or "rows" (features computed elsewhere)
    path: str = ""  # of a "rows" source: where its Parquet lies
    timestamp_field: str = "event_time"  # of a "rows" source
    created_field: str = ""  # of a "rows" source: the column that says when a row was known


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature of a view: a function of one channel over one window, or a column computed elsewhere."""

    name: str
    column: str = ""
    function: str = ""
    window_us: int = 0
    dtype: str = "float64"
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A feature view: features of one source over the same entity keys.

    `tile_us` is the slide: a row is made at each aligned tick that has new data. A tick's row is first made at
    `tick + grace_us` of receipt time; blocks received up to `lateness_us` after their end correct it.
    """

    name: str
    source: Source
    entity_keys: tuple[tuple[str, str], ...]  # (join key, dtype), in declared order
    features: tuple[Feature, ...]
    tile_us: int = 60 * SECOND_US
    grace_us: int = 0
    lateness_us: int = 7 * 86_400 * SECOND_US
    ttl_us: int = 0  # 0 means no limit, as in Feast
    team: str = ""
    owner: str = ""
    description: str = ""
    where: str = ""  # file:line of the declaration
    code_versions: tuple[tuple[str, int], ...] = ()  # (function or aggregator, its declared version)
    online: bool = True
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def version(self) -> str:
        """Return the hash of what the view computes: 12 hex digits; names of people and prose do not count."""
        meaning = {
            "source": [self.source.name, self.source.channels, self.source.units, self.source.kind],
            "keys": self.entity_keys,
            "features": [(f.name, f.column, f.function, f.window_us, f.dtype, f.unit) for f in self.features],
            "tile_us": self.tile_us,
            "grace_us": self.grace_us,
            "lateness_us": self.lateness_us,
            "code": self.code_versions,
        }
        return _hash(meaning)

    @property
    def ref(self) -> str:
        """Return `name@version`: the name of its tables and keys."""
        return f"{self.name}@{self.version}"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of its features, in declared order."""
        return tuple(f.name for f in self.features)

    @property
    def readers(self) -> tuple[str, ...]:
        """Return the teams that may read it besides its own: none, since teams share services, not views."""
        return ()

    def to_json(self) -> str:
        """Write the view as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> View:
        """Read a view back from `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        source = raw.pop("source")
        source["channels"], source["units"] = tuple(source["channels"]), tuple(source["units"])
        features = tuple(Feature(**f) for f in raw.pop("features"))
        pairs: dict[str, Any] = {
            key: tuple((a, b) for a, b in raw.pop(key)) for key in ("entity_keys", "code_versions", "tags")
        }
        return View(source=Source(**source), features=features, **pairs, **raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandFeature:
    """One feature computed from other features of the same answer, or from what the request says, by a named function.

    An input is a feature as it stands in the answer, "view__feature"; one without "__" is a field of the request.
    """

    name: str
    function: str  # e.g. "ratio", "difference", "severity_zone[iso10816-3:group2:rigid]"
    inputs: tuple[str, ...]
    dtype: str = "float64"
    unit: str = ""

    @property
    def features_read(self) -> tuple[str, ...]:
        """Return the inputs that are features."""
        return tuple(name for name in self.inputs if "__" in name)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemandView:
    """On-demand features, computed on the whole answered batch."""

    name: str
    features: tuple[OnDemandFeature, ...]
    team: str = ""
    owner: str = ""
    description: str = ""
    request_fields: tuple[tuple[str, str], ...] = ()  # (name, dtype): numbers that a request says beside its keys

    @property
    def version(self) -> str:
        """Return the hash of what the view computes: 12 hex digits."""
        features = [(f.name, f.function, f.inputs, f.dtype, f.unit) for f in self.features]
        return _hash({"features": features, "request": self.request_fields} if self.request_fields else features)

    def only(self, names: Collection[str]) -> OnDemandView:
        """Return the same view with the features named, and the request fields that those read."""
        chosen = tuple(feature for feature in self.features if feature.name in names)
        read = {name for feature in chosen for name in feature.inputs}
        return replace(self, features=chosen, request_fields=tuple(f for f in self.request_fields if f[0] in read))

    def to_json(self) -> str:
        """Write the view as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> OnDemandView:
        """Read the view back from `to_json`."""
        return _on_demand_view(json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """A view as a service uses it: which version, which of its features."""

    view: str
    version: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A feature service: the contract a model pins."""

    name: str
    views: tuple[ServiceView, ...]
    on_demand: tuple[OnDemandView, ...] = field(default=())
    team: str = ""
    owner: str = ""
    description: str = ""
    readers: tuple[str, ...] = ()  # teams that may read it besides its own; "*" is every team
    max_age_us: int = 0  # rows older than this are STALE for this service, whatever its views' own limits; 0: no limit
    required: tuple[str, ...] = ()  # columns without which a model does not score an entity
    impute: tuple[tuple[str, Constant], ...] = ()  # by column: what stands in for a value that is not there

    @property
    def version(self) -> str:
        """Return the hash of what the service answers with: features of view versions, and its own rules for them."""
        meaning: list[object] = [
            [(v.view, v.version, v.features) for v in self.views],
            [(d.name, d.version) for d in self.on_demand],
        ]
        if self.max_age_us or self.required:  # services without rules keep the version they had before there were any
            meaning.append([self.max_age_us, self.required])
        if self.impute:
            meaning.append({"impute": self.impute})
        return _hash(meaning)

    @property
    def request_fields(self) -> dict[str, str]:
        """Return the dtypes of the numbers that a request says beside its keys, by name."""
        return {name: dtype for demand in self.on_demand for name, dtype in demand.request_fields}

    def to_json(self) -> str:
        """Write the service as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Service:
        """Read a service back from `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        views = tuple(ServiceView(**{**v, "features": tuple(v["features"])}) for v in raw.pop("views"))
        on_demand = tuple(_on_demand_view(v) for v in raw.pop("on_demand"))
        for name in ("readers", "required"):  # services written before there were any have none
            raw[name] = tuple(raw.get(name, ()))
        raw["impute"] = tuple((name, constant) for name, constant in raw.get("impute", ()))
        return Service(views=views, on_demand=on_demand, **raw)


def _on_demand_view(raw: dict[str, Any]) -> OnDemandView:
    """Return an on-demand view from its JSON object."""
    features = tuple(OnDemandFeature(**{**f, "inputs": tuple(f["inputs"])}) for f in raw["features"])
    fields = tuple((name, dtype) for name, dtype in raw.get("request_fields", ()))
    return OnDemandView(**{**raw, "features": features, "request_fields": fields})


def _hash(meaning: object) -> str:
    """Return 12 hex digits of the SHA-256 of a JSON-able meaning."""
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]
